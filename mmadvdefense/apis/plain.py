"""A purifier in front of a PyTorch classifier that belongs to no host."""

from __future__ import annotations

from typing import Any, Sequence

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import PIXEL_MAX
from ..purifiers import Purifier

# Tolerance for the rounding of resized and normalized images, in pixels.
_SLACK = 1.0


class ProtectedModule(nn.Module):
    """A module and the purifier in front of it, which takes and returns what the module does.

    Args:
        model: takes ``(N, 3, H, W)``, normalized with ``mean`` and ``std``.
        purifier: with a native preprocessor that normalizes as ``model`` expects it.
        mean: of each channel, in pixels (0-255).
        std: of each channel, in pixels (0-255).
        swap_channels: whether the purifier takes the channels in the reverse order.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        purifier: Purifier,
        mean: Sequence[float],
        std: Sequence[float],
        swap_channels: bool = False,
    ):
        super().__init__()
        self.model = model
        self.data_preprocessor = purifier
        self.swap_channels = swap_channels
        self._checked = False
        for name, values in (('mean', mean), ('std', std)):
            self.register_buffer(
                name, torch.tensor([float(value) for value in values]).view(-1, 1, 1), persistent=False
            )

    def purify(self, inputs: Tensor) -> Tensor:
        """Purified images in the form of ``inputs``: ``(N, 3, H, W)``, normalized; differentiable if the purifier is.

        Raises:
            UsageError: if the first images are not of that shape, or do not lie in 0-255 once ``mean`` and ``std`` are
                undone.
        """
        pixels = inputs * self.std + self.mean
        if not self._checked:
            self._check(pixels)
        if self.data_preprocessor.device != inputs.device:
            self.data_preprocessor.to(inputs.device)
        pixels = pixels.flip(1) if self.swap_channels else pixels
        return self.data_preprocessor({'inputs': pixels.clamp(0, PIXEL_MAX)}, False)['inputs'].to(inputs.dtype)

    def forward(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """What the module returns for the purified ``inputs``; the other arguments are passed on."""
        return self.model(self.purify(inputs), *args, **kwargs)

    def _check(self, pixels: Tensor) -> None:
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise UsageError(f'a protected module takes images (N, 3, H, W), got {tuple(pixels.shape)}')
        low, high = (value.item() for value in pixels.detach().aminmax())
        # Nobody loads a whole batch this dark, and images in 0-1 with a std of 1 are.
        if low < -_SLACK or not 2 < high <= PIXEL_MAX + _SLACK:
            raise UsageError(
                f'with mean={self.mean.flatten().tolist()} and std={self.std.flatten().tolist()} the inputs are pixels '
                f'from {low:g} to {high:g}, not 0-255: give protect() what they were normalized with, in pixels (for '
                'images in 0-1: mean=(0, 0, 0), std=(255, 255, 255))'
            )
        self._checked = True
