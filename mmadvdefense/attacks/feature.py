"""Attacks on what a backbone sees, which need no labels and transfer between tasks."""

from __future__ import annotations

from typing import Optional, Sequence, Union

from ..registry import ATTACKS
from .loop import GradientAttack

Layers = Union[None, str, Sequence[str]]


@ATTACKS.register_module()
class SSP(GradientAttack):
    """Self-supervised perturbation: away from the clean features, from a random start (Naseer et al., CVPR 2020).

    Args:
        eps, step_size, steps: as in :class:`GradientAttack`, as are all others.
        layers: see :class:`~mmadvdefense.attacks.feature_objectives.FeatureDistanceObjective`.
    """

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        layers: Layers = None,
        random_start: Optional[str] = 'uniform',
        **kwargs,
    ):
        objective = dict(type='FeatureDistanceObjective', layers=layers)
        super().__init__(eps, step_size, steps, objective=objective, random_start=random_start, **kwargs)


@ATTACKS.register_module()
class FDA(GradientAttack):
    """Feature disruptive attack: weak features up, strong ones down, at all layers (Ganeshan et al., ICCV 2019).

    Args:
        eps, step_size, steps: as in :class:`GradientAttack`, as are all others; a random start as in the authors' code.
        layers: see :class:`~mmadvdefense.attacks.feature_objectives.FeatureDisruptionObjective`.
    """

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        layers: Layers = None,
        random_start: Optional[str] = 'uniform',
        **kwargs,
    ):
        objective = dict(type='FeatureDisruptionObjective', layers=layers)
        super().__init__(eps, step_size, steps, objective=objective, random_start=random_start, **kwargs)


@ATTACKS.register_module()
class TAP(GradientAttack):
    """Transferable adversarial perturbations: far and smooth, without the paper's labels (Zhou et al., ECCV 2018).

    Args:
        eps, step_size, steps: as in :class:`GradientAttack`, as are all others.
        layers, feature_weight, smooth_weight, power, box_size: see
            :class:`~mmadvdefense.attacks.feature_objectives.TransferablePerturbationObjective`.
    """

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
        random_start: Optional[str] = 'uniform',
        **kwargs,
    ):
        objective = dict(
            type='TransferablePerturbationObjective',
            layers=layers,
            feature_weight=feature_weight,
            smooth_weight=smooth_weight,
            power=power,
            box_size=box_size,
        )
        super().__init__(eps, step_size, steps, objective=objective, random_start=random_start, **kwargs)


@ATTACKS.register_module()
class DR(GradientAttack):
    """Dispersion reduction: feature maps without contrast (Lu et al., CVPR 2020).

    Args:
        eps, step_size, steps: as in :class:`GradientAttack`, as are all others.
        layers: see :class:`~mmadvdefense.attacks.feature_objectives.DispersionObjective`.
    """

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        layers: Layers = None,
        **kwargs,
    ):
        objective = dict(type='DispersionObjective', layers=layers)
        super().__init__(eps, step_size, steps, objective=objective, **kwargs)
