"""What a purifier makes of each image on its way into a model."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator

import numpy as np
from torch import Tensor, nn

from ..errors import UsageError
from ..models import unwrap
from ..pixels import Pixels, round_to_8bit
from ..purifiers import Purifier


@dataclass(frozen=True)
class PurifiedImage:
    """An image as the model behind a purifier sees it.

    Attributes:
        image: ``(H, W, 3)`` uint8, in the channel order in which the image was loaded (BGR from files, as
            ``mmcv.imwrite`` takes it), at the size that the pipeline has resized it to.
        change: ``(H, W, 3)`` float32, the purified minus the original image in pixels, -255 to 255, not rounded.
    """

    image: np.ndarray
    change: np.ndarray

    @property
    def linf(self) -> float:
        """The largest change of a value, in pixels (0-255)."""
        return float(np.abs(self.change).max())

    @property
    def mean(self) -> float:
        """The mean absolute change, in pixels (0-255)."""
        return float(np.abs(self.change).mean())


@contextmanager
def record_purified(model: nn.Module) -> Iterator[list[PurifiedImage]]:
    """Record what the purifier of a model does, while any inference API runs the model.

    Args:
        model: a protected model: of :func:`~mmadvdefense.apis.protect`, or of a host's API and a config with a
            purifier.

    Yields:
        A list that gains a :class:`PurifiedImage` for each image, in the order in which the model gets them.

    Raises:
        UsageError: if the model has no purifier.
    """
    purifier = getattr(unwrap(model), 'data_preprocessor', None)
    if not isinstance(purifier, Purifier):
        raise UsageError(f'{type(model).__name__} has no purifier: put one in front of it with protect()')
    seen: list[PurifiedImage] = []
    original: list[Pixels] = []

    def note_original(module: nn.Module, args: tuple[Any, ...]) -> None:
        original[:] = [args[0]['inputs']]

    def note_purified(module: nn.Module, args: tuple[Any, ...]) -> None:
        # The native preprocessor may be shared with the model without a purifier.
        while original:
            seen.extend(_compare(before, after) for before, after in zip(original.pop(), args[0]['inputs']))

    handles = [
        purifier.register_forward_pre_hook(note_original),
        purifier.native.register_forward_pre_hook(note_purified),
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _compare(before: Tensor, after: Tensor) -> PurifiedImage:
    before, after = before.detach().cpu().float(), after.detach().cpu().float()
    image = round_to_8bit(after).byte().permute(1, 2, 0).numpy()
    return PurifiedImage(np.ascontiguousarray(image), np.ascontiguousarray((after - before).permute(1, 2, 0).numpy()))
