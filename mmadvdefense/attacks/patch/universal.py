"""Perturbations and patches that are the same for all images, applied from a file of ``tools/fit_universal.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ...registry import ATTACKS
from ..balls import AREA
from ..base import Attack
from ..batch import AttackBatch
from .budget import AreaBudget
from .placement import Boxes, Place, Placement
from .poses import Pose, paste
from .universal_file import Universal


class UniversalAttack(Attack):
    """Applies to every image what was fitted to other images: neither the model nor the truth is looked at.

    Args:
        file: of ``tools/fit_universal.py``.
        patch: whether it must hold a patch, or else a perturbation.
        norm: of the budget.
    """

    access = 'nothing'

    def __init__(self, file: str, patch: bool, norm: str):
        self.file = str(file)
        self.universal = Universal.load(file, patch)
        eps = self.universal.eps
        super().__init__(PIXEL_MAX if eps is None else eps, norm)

    @property
    def needs_labels(self) -> bool:
        return False

    def details(self) -> list[str]:
        return [*super().details(), Path(self.file).name]

    def values(self, batch: AttackBatch) -> Tensor:
        """The file's content for the images of a batch, ``(3, H, W)``."""
        return self.universal.in_order(batch.source.channel_order).to(batch.clean)

    def check_same(self, what: str, given: Optional[float], own: Optional[float]) -> None:
        """Raise a ``ValueError`` if a budget is given that is not the file's own."""
        if given is not None and given != own:
            raise UsageError(
                f'{type(self).__name__}: {self.file} was fitted with {what}={own:g}, not {given:g}; leave {what} out, '
                'or fit another one with tools/fit_universal.py'
            )


@ATTACKS.register_module()
class UniversalPerturbation(UniversalAttack):
    """Adds one perturbation to all images (Moosavi-Dezfooli et al., CVPR 2017).

    How it is fitted: :class:`~mmadvdefense.attacks.patch.fitting.UniversalFit`.

    Args:
        file: of ``tools/fit_universal.py --attack UniversalPerturbation``.
        eps: the file's own radius in pixels (0-255), if it is to be checked.

    Raises:
        FileNotFoundError: without the file.
        ValueError: for another ``eps`` or another kind of file; when run, for images of another size.
    """

    def __init__(self, file: str, eps: Optional[float] = None):
        super().__init__(file, patch=False, norm='linf')
        self.check_same('eps', eps, self.universal.eps)

    def perturb(self, batch: AttackBatch) -> Tensor:
        size = tuple(self.universal.values.shape[-2:])
        other = next((other for other in batch.layout.sizes if other != size), None)
        if other is not None:
            raise UsageError(
                f'{type(self).__name__}: {self.file} is for images of {size[0]}x{size[1]}, and there is one of '
                f'{other[0]}x{other[1]}; fit one for this size with tools/fit_universal.py'
            )
        return batch.clean + self.values(batch)


@ATTACKS.register_module()
class UniversalPatch(AreaBudget, UniversalAttack):
    """Pastes one patch into all images (Brown et al., 2017), upright and resized to its share of each image.

    Ground truth stays as it is: an object behind the patch still counts.

    Args:
        file: of ``tools/fit_universal.py --attack UniversalPatch``.
        area: the file's own share of the image, if it is to be checked.
        place: as for :class:`~mmadvdefense.attacks.patch.attacks.PatchAttack`; by default drawn for each image.

    Raises:
        FileNotFoundError: without the file.
        ValueError: for another ``area`` or another kind of file; when run, for an image that it does not fit into.
    """

    def __init__(self, file: str, area: Optional[float] = None, place: Place = 'random'):
        super().__init__(file, patch=True, norm=AREA)
        self.check_same('area', area, self.universal.area)
        assert self.universal.area is not None, 'a patch has an area'
        self.placement = Placement(type(self).__name__, self.universal.area, place, self.universal.shape)
        self.stochastic = self.placement.random

    def perturb(self, batch: AttackBatch) -> Tensor:
        values = self.values(batch).expand(len(batch), -1, -1, -1)
        pose = Pose.upright(self.placement.boxes(batch))
        return paste(values, Boxes.whole(values), pose, batch.clean)
