"""AutoAttack, built from torchattacks (Kim, arXiv 2010.01950)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ...registry import ATTACKS
from ...validation import check_integer
from ..source import AttackSource
from .adapters import NORMS, TorchattacksAttack
from .library import UnitRangeClassifier, class_count

# Number of target classes in the authors' code.
_TARGET_CLASSES = 9


@ATTACKS.register_module()
class AutoAttack(TorchattacksAttack):
    """A sequence of attacks, each run on the images that the previous ones failed on (Croce and Hein, ICML 2020).

    Version ``'standard'``: APGD on the cross-entropy, targeted APGD, targeted FAB, Square. Version ``'rand'``, for
    random defenses: APGD on the cross-entropy and on the DLR loss, with gradients averaged over 20 draws. The settings
    are the published ones; the ``AutoAttack`` of torchattacks 3.5 uses 10 steps instead of 100. An image on which all
    attacks fail is returned unchanged.

    Args:
        eps: radius of the ball in pixels (0-255).
        norm: ``'linf'`` or ``'l2'``.
        version: ``'standard'`` or ``'rand'``.
        steps: number of steps of APGD and FAB.
        queries: number of queries of Square.

    Raises:
        ImportError: if torchattacks is not installed.
        ValueError: for an unknown version, or when run on a model with too few classes for the losses, or in L2 on
            images that are not square.
    """

    needs_ball = True
    eps: float

    def __init__(
        self, eps: float, norm: str = 'linf', version: str = 'standard', steps: int = 100, queries: int = 5000
    ):
        super().__init__(eps, norm=norm)
        if version not in ('standard', 'rand'):
            raise UsageError(f"AutoAttack: version must be 'standard' or 'rand', got {version!r}")
        check_integer('AutoAttack', steps=steps, queries=queries)
        self.version, self.steps, self.queries = version, int(steps), int(queries)

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        least = 4 if self.version == 'standard' else 3
        if class_count(source) < least:
            raise UsageError(
                f'AutoAttack ({self.version}) needs {least} classes, but the model has {source.task.num_classes}'
            )

    def attack_image(self, model: UnitRangeClassifier, image: Tensor, label: Tensor, seed: int) -> Tensor:
        height, width = image.shape[-2:]
        if height != width and self.norm == 'l2' and self.version == 'standard':
            raise UsageError(
                "AutoAttack: in L2 the library's Square takes square images only, but one has "
                f'{height} x {width} pixels'
            )
        return super().attack_image(model, image, label, seed)

    def build(self, library: Any, model: UnitRangeClassifier, num_classes: int) -> tuple[Any, list[Any]]:
        budget = dict(norm=NORMS[self.norm], eps=self.eps / PIXEL_MAX)
        steps = dict(budget, steps=self.steps)
        if self.version == 'rand':
            parts = [library.APGD(model, loss=loss, eot_iter=20, **steps) for loss in ('ce', 'dlr')]
        else:
            classes = dict(n_classes=min(num_classes, _TARGET_CLASSES + 1))
            parts = [
                library.APGD(model, loss='ce', **steps),
                library.APGDT(model, **steps, **classes),
                library.FAB(model, multi_targeted=True, **steps, **classes),
                library.Square(model, n_queries=self.queries, **budget),
            ]
        return library.MultiAttack(parts), parts
