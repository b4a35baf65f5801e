"""AutoAttack: four attacks in turn, without a setting that anybody has to choose."""

from __future__ import annotations

from typing import Optional

from torch import Tensor

from ..errors import UsageError
from ..registry import ATTACKS
from ..validation import check_integer
from .base import Attack
from .batch import AttackBatch, RecordingBatch
from .criteria import misleads_all_sources
from .gradient.apgd import APGD, Criterion
from .minimal.base import ActiveImages
from .minimal.fab import FAB
from .query.square import Square
from .source import AttackSource
from .targets import top_wrong_targets

# The authors' settings.
_TARGETS, _EOT_SAMPLES = 9, 20


@ATTACKS.register_module()
class APGDT(APGD):
    """APGD on the targeted DLR towards each of the most likely wrong classes in turn, until the source errs (APGD-T of
    AutoAttack, Croce and Hein, ICML 2020).

    Any wrong prediction counts, whatever the class that the attack moves towards. Images that the source already
    misclassifies are left unchanged, as are those for which nothing is found.

    Args:
        eps: radius of the ball in pixels (0-255).
        steps: number of steps for each class.
        norm: ``'linf'`` or ``'l2'``.
        num_targets: number of wrong classes; all of them if there are fewer.

    Raises:
        ValueError: for an invalid value; when run, for a source that is not a classifier.
    """

    def __init__(self, eps: float, steps: int = 100, norm: str = 'linf', num_targets: int = _TARGETS):
        super().__init__(eps, steps, norm, objective='dlr')
        check_integer('APGDT', num_targets=num_targets)
        self.num_targets = int(num_targets)

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        _check_one_label('APGDT', source)

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial = batch.clean.clone()
        active = ActiveImages(batch)
        left = active.keep(~misleads_all_sources(batch.clean, active.part))
        logits = batch.reference.logits
        classes = batch.source.task.target_classes(logits)
        for target in top_wrong_targets(logits, batch.labels, self.num_targets, classes):
            if not left:
                break
            active.part.target = target[active.at]
            found = self._ascend(active.part)
            active.part.target = None
            fooled = misleads_all_sources(found, active.part)
            adversarial[active.at] = found.where(fooled.view(-1, 1, 1, 1), adversarial[active.at])
            left = active.keep(~fooled)
        active.close()
        return adversarial

    def criterion(self, batch: AttackBatch) -> Optional[Criterion]:
        return errs


def errs(view: RecordingBatch) -> Tensor:
    """1 for images that the last query misclassified, whatever the target, else 0, ``(N,)``."""
    scores = view.answer
    return view.clean.new_zeros(len(view)) if scores is None else (scores.argmax(1) != view.labels).to(scores.dtype)


@ATTACKS.register_module()
class AutoAttack(Attack):
    """Four attacks in turn, each on the images that the source still gets right (Croce and Hein, ICML 2020).

    Version ``'standard'``: APGD on the cross-entropy, :class:`APGDT` (9 classes), :class:`FAB` (9 classes), and Square
    on the margin. Version ``'rand'``, for random defenses: APGD on the cross-entropy and on the DLR, with gradients
    averaged over 20 draws, or over as many as the source has if those are more.

    The settings are those of the authors' code: one restart each, 100 steps, 5000 queries, which Square spends on the
    schedule of 10,000. Images that the source already misclassifies, and those on which all attacks fail, are returned
    unchanged. With fewer than 10 classes all wrong ones are targets; for 2 and 3 classes see
    :class:`~mmadvdefense.attacks.objectives.DLRObjective`.

    Args:
        eps: radius of the ball in pixels (0-255).
        norm: ``'linf'`` or ``'l2'``.
        version: ``'standard'`` or ``'rand'``.
        steps: number of steps of APGD and FAB (for each class).
        queries: number of queries of Square.

    Raises:
        ValueError: for an invalid value; when run, for a source that is not a classifier, or in version
            ``'standard'`` for gradients averaged over draws (EOT).
    """

    needs_ball = True
    stochastic = True
    undoes_failures = True
    # The first was that of torchattacks.
    revision = 2
    eps: float

    def __init__(
        self, eps: float, norm: str = 'linf', version: str = 'standard', steps: int = 100, queries: int = 5000
    ):
        super().__init__(eps, norm)
        if version not in ('standard', 'rand'):
            raise UsageError(f"AutoAttack: version must be 'standard' or 'rand', got {version!r}")
        check_integer('AutoAttack', steps=steps, queries=queries)
        self.version, self.steps, self.queries = version, int(steps), int(queries)
        self.supports_eot = version == 'rand'
        self.parts: list[Attack] = (
            [APGD(eps, steps, norm, loss, eot_samples=_EOT_SAMPLES) for loss in ('cross_entropy', 'dlr')]
            if version == 'rand'
            else [
                APGD(eps, steps, norm),
                APGDT(eps, steps, norm),
                FAB(eps, norm, steps, _TARGETS),
                Square(eps, queries, norm=norm, rescale=False),
            ]
        )

    def check_source(self, source: AttackSource) -> None:
        _check_one_label('AutoAttack', source)
        if source.eot_samples > 1 and not self.supports_eot:
            raise UsageError(
                'AutoAttack: the standard version does not average gradients over samples of a random defense; use '
                "version='rand'"
            )
        super().check_source(source)
        for part in self.parts:
            part.check_source(source)

    def details(self) -> list[str]:
        queries = [f'{self.queries} queries'] if self.version == 'standard' else []
        return [*super().details(), self.version, *queries]

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial = batch.clean.clone()
        active = ~misleads_all_sources(batch.clean, batch)
        for attack in self.parts:
            index = active.nonzero().flatten().tolist()
            if not index:
                break
            part = batch.select(index).cropped()
            found = attack._inside(attack.perturb(part), part)
            fooled = misleads_all_sources(found, part)
            batch.merge(part, index)
            height, width = found.shape[-2:]
            kept = adversarial[index, :, :height, :width]
            adversarial[index, :, :height, :width] = found.where(fooled.view(-1, 1, 1, 1), kept)
            active[index] = ~fooled
        return adversarial


def _check_one_label(name: str, source: AttackSource) -> None:
    if not source.task.one_label:
        raise UsageError(
            f'{name} needs one predicted class per image, which no model for {source.task.name} has; use APGD '
            "(for detectors with objective='cls+loc'), or several attacks in WorstOf"
        )
