"""Attacks on a backbone's features, which need no labels (by default) and transfer between tasks."""

from __future__ import annotations

from functools import partialmethod
from typing import Any, ClassVar, Optional

from ...errors import UsageError
from ...registry import ATTACKS
from .loop import GradientAttack


class FeatureAttack(GradientAttack):
    """Maximizes an objective on a backbone's features, by default from a random start.

    A subclass names the objective, and the settings that are passed on to it.

    Args:
        args: ``eps``, ``step_size`` and ``steps`` of :class:`GradientAttack`.
        random_start: as in :class:`GradientAttack`, but ``'uniform'`` by default.
        options: settings of the objective, such as ``layers``, and all other options of :class:`GradientAttack`.
    """

    objective_type: ClassVar[str]
    objective_settings: ClassVar[tuple[str, ...]] = ('layers',)

    def __init__(self, eps: float, *args: Any, random_start: Optional[str] = 'uniform', **options: Any):
        if 'objective' in options:
            raise UsageError(f'{type(self).__name__} has an objective of its own; leave out objective=...')
        settings = {name: options.pop(name) for name in self.objective_settings if name in options}
        options.update(objective=dict(type=self.objective_type, **settings), random_start=random_start)
        super().__init__(eps, *args, **options)


@ATTACKS.register_module()
class SSP(FeatureAttack):
    """Self-supervised perturbation: moves features away from the clean ones, from a random start (Naseer et al., CVPR
    2020).

    Options are those of :class:`FeatureAttack` and of
    :class:`~mmadvdefense.attacks.gradient.feature_objectives.FeatureDistanceObjective`.
    """

    objective_type = 'FeatureDistanceObjective'


@ATTACKS.register_module()
class FDA(FeatureAttack):
    """Feature disruptive attack: raises weak features and lowers strong ones, at all layers (Ganeshan et al., ICCV
    2019).

    Uses a random start, as in the authors' code. Options are those of :class:`FeatureAttack` and of
    :class:`~mmadvdefense.attacks.gradient.feature_objectives.FeatureDisruptionObjective`.
    """

    objective_type = 'FeatureDisruptionObjective'


@ATTACKS.register_module()
class TAP(FeatureAttack):
    """Transferable adversarial perturbations: large feature distance, smooth perturbation (Zhou et al., ECCV 2018).

    By default without labels; ``label_weight=1`` adds the paper's cross-entropy. Options are those of
    :class:`FeatureAttack` and of
    :class:`~mmadvdefense.attacks.gradient.feature_objectives.TransferablePerturbationObjective`.
    """

    objective_type = 'TransferablePerturbationObjective'
    objective_settings = ('layers', 'feature_weight', 'smooth_weight', 'power', 'box_size', 'label_weight')


@ATTACKS.register_module()
class DR(FeatureAttack):
    """Dispersion reduction: reduces the contrast of feature maps (Lu et al., CVPR 2020), from the clean image.

    Options are those of :class:`FeatureAttack` and of
    :class:`~mmadvdefense.attacks.gradient.feature_objectives.DispersionObjective`.
    """

    objective_type = 'DispersionObjective'

    __init__ = partialmethod(FeatureAttack.__init__, random_start=None)
