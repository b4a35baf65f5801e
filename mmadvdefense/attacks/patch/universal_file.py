"""Files that hold a perturbation or a patch for all images."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from torch import Tensor

from ...errors import UsageError
from ...saving import load_tensors, save_tensors

FORMAT = 'mmadvdefense universal perturbation'
_FIELDS = {'values', 'eps', 'area', 'shape', 'channel_order', 'made'}


@dataclass
class Universal:
    """What is added to all images, or replaces a part of them.

    Attributes:
        values: ``(3, H, W)`` in pixels (0-255): a perturbation of images of this size, or the content of a patch.
        eps: L-infinity radius of a perturbation, in pixels; None for a patch.
        area: share of the image that a patch covers; None for a perturbation.
        shape: of a patch, ``'square'`` or ``'image'``.
        channel_order: ``'bgr'`` or ``'rgb'``, as the images that it was fitted to; None if unknown.
        made: how it was fitted, plain data.
    """

    values: Tensor
    eps: Optional[float] = None
    area: Optional[float] = None
    shape: str = 'square'
    channel_order: Optional[str] = None
    made: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Write it atomically.

        Raises:
            OSError: if the file cannot be written.
        """
        save_tensors(path, FORMAT, {**vars(self), 'values': self.values.detach().cpu()})

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]], patch: bool) -> Universal:
        """Read a patch, or else a perturbation; nothing in the file can run code.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it has another format, or holds the other of the two.
        """
        name = 'universal patch' if patch else 'universal perturbation'
        content = load_tensors(path, FORMAT, name, 'tools/fit_universal.py')
        found = cls(**{key: value for key, value in content.items() if key in _FIELDS})
        if (found.area is not None) != patch:
            other = 'UniversalPerturbation' if patch else 'UniversalPatch'
            raise UsageError(f'{path} is not a {name}: use type={other!r} for it')
        return found

    def in_order(self, channel_order: Optional[str]) -> Tensor:
        """The values for images of this channel order; as they are where either order is unknown."""
        known = None not in (channel_order, self.channel_order)
        return self.values.flip(0) if known and channel_order != self.channel_order else self.values
