"""The VGG feature extractor of perceptual losses."""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS

_CONVS_PER_STAGE = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


@MODELS.register_module()
class TorchvisionVGG(nn.Module):
    """The convolutional part of `VGG <https://arxiv.org/abs/1409.1556>`_, with torchvision's layer names: its
    checkpoints load, and the paper's ReLU1_2 of VGG-16 is ``features.3``.

    Args:
        depth: 11, 13, 16 or 19.

    Raises:
        ValueError: for any other depth.
    """

    def __init__(self, depth: int = 16) -> None:
        super().__init__()
        if depth not in _CONVS_PER_STAGE:
            raise UsageError(f'VGG depth must be one of {", ".join(map(str, _CONVS_PER_STAGE))}, got {depth}')
        layers: list[nn.Module] = []
        channels = 3
        for width, num_convs in zip(_WIDTHS, _CONVS_PER_STAGE[depth]):
            for _ in range(num_convs):
                conv = nn.Conv2d(channels, width, 3, padding=1)
                nn.init.kaiming_normal_(conv.weight, mode='fan_out', nonlinearity='relu')
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)
                layers += [conv, nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """From ``(N, 3, H, W)``, normalised as in training, to ``(N, 512, H // 32, W // 32)``."""
        return self.features(x)
