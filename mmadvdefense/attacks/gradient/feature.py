"""Attacks on what a backbone sees, which need no labels and transfer between tasks."""

from __future__ import annotations

from typing import ClassVar, Optional, Sequence, Union

from ...registry import ATTACKS
from .loop import GradientAttack

Layers = Union[None, str, Sequence[str]]


class FeatureAttack(GradientAttack):
    """Raises an objective of a backbone's features, by default from a random start.

    Args:
        eps, step_size, steps, random_start: as in :class:`GradientAttack`, as are all others.
        layers: of the objective that a subclass names.
        objective_settings: more settings of that objective.
    """

    objective_type: ClassVar[str]

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        layers: Layers = None,
        random_start: Optional[str] = 'uniform',
        objective_settings: Optional[dict] = None,
        **kwargs,
    ):
        objective = dict(type=self.objective_type, layers=layers, **(objective_settings or {}))
        super().__init__(eps, step_size, steps, objective=objective, random_start=random_start, **kwargs)


@ATTACKS.register_module()
class SSP(FeatureAttack):
    """Self-supervised perturbation: away from the clean features, from a random start (Naseer et al., CVPR 2020).

    Args:
        layers: see :class:`~mmadvdefense.attacks.gradient.feature_objectives.FeatureDistanceObjective`.
        options: of :class:`FeatureAttack`.
    """

    objective_type = 'FeatureDistanceObjective'


@ATTACKS.register_module()
class FDA(FeatureAttack):
    """Feature disruptive attack: weak features up, strong ones down, at all layers (Ganeshan et al., ICCV 2019).

    It starts at random, as the authors' code does.

    Args:
        layers: see :class:`~mmadvdefense.attacks.gradient.feature_objectives.FeatureDisruptionObjective`.
        options: of :class:`FeatureAttack`.
    """

    objective_type = 'FeatureDisruptionObjective'


@ATTACKS.register_module()
class TAP(FeatureAttack):
    """Transferable adversarial perturbations: far and smooth (Zhou et al., ECCV 2018).

    By default without labels; ``label_weight=1`` adds the paper's cross-entropy.

    Args:
        feature_weight, smooth_weight, power, box_size, label_weight: see
            :class:`TransferablePerturbationObjective`, as for ``layers``.
        options: of :class:`FeatureAttack`.
    """

    objective_type = 'TransferablePerturbationObjective'

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        layers: Layers = None,
        feature_weight: float = 0.05,
        smooth_weight: float = 0.005,
        power: float = 0.5,
        box_size: int = 3,
        label_weight: float = 0.0,
        **options,
    ):
        settings = dict(
            feature_weight=feature_weight,
            smooth_weight=smooth_weight,
            power=power,
            box_size=box_size,
            label_weight=label_weight,
        )
        super().__init__(eps, step_size, steps, layers, objective_settings=settings, **options)


@ATTACKS.register_module()
class DR(FeatureAttack):
    """Dispersion reduction: feature maps without contrast (Lu et al., CVPR 2020), from the clean image.

    Args:
        layers: see :class:`~mmadvdefense.attacks.gradient.feature_objectives.DispersionObjective`.
        options: of :class:`FeatureAttack`.
    """

    objective_type = 'DispersionObjective'

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        layers: Layers = None,
        random_start: Optional[str] = None,
        **options,
    ):
        super().__init__(eps, step_size, steps, layers, random_start, **options)
