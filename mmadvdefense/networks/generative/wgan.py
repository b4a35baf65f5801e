"""The generator and the critic of Defense-GAN."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from ...errors import UsageError
from ...registry import MODELS
from ..initialization import init_he

# Times that the resolution is doubled, or halved.
NUM_LAYERS = 3


def _coarse_size(owner: str, image_size: Sequence[int]) -> tuple[int, int]:
    """Height and width of the coarsest map."""
    if len(image_size) != 2 or any(side < 8 or side % 2**NUM_LAYERS for side in image_size):
        raise UsageError(f'{owner}: image_size is (height, width), multiples of 8, got {tuple(image_size)}')
    return image_size[0] // 2**NUM_LAYERS, image_size[1] // 2**NUM_LAYERS


@MODELS.register_module()
class WGANGenerator(nn.Module):
    """Draws images from codes: a fully connected layer, then three 5x5 transposed convolutions, with batch norm and
    ReLU between them (DCGAN, as in Gulrajani et al., arXiv 1704.00028). 1,558,275 parameters by default.

    Args:
        code_size: length of a code.
        base_channels: width before the last layer, doubled in each layer before it.
        image_size: ``(H, W)`` of the images, multiples of 8.
        out_channels: channels of the images.

    Raises:
        ValueError: for an image size that is not a multiple of 8.
    """

    def __init__(
        self,
        code_size: int = 128,
        base_channels: int = 64,
        image_size: Sequence[int] = (32, 32),
        out_channels: int = 3,
    ) -> None:
        super().__init__()
        self.code_size = code_size
        self.image_size = tuple(image_size)
        height, width = _coarse_size(type(self).__name__, image_size)
        widths = [4 * base_channels, 2 * base_channels, base_channels, out_channels]
        layers: list[nn.Module] = [
            nn.Linear(code_size, widths[0] * height * width),
            nn.Unflatten(1, (widths[0], height, width)),
        ]
        for before, after in pairwise(widths):
            layers += [
                nn.BatchNorm2d(before),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, codes: Tensor) -> Tensor:
        """Images in [-1, 1], ``(N, out_channels, H, W)``, of codes ``(N, code_size)``, standard normal in training."""
        return self.layers(codes).tanh()


@MODELS.register_module()
class WGANCritic(nn.Module):
    """Scores images: three 5x5 convolutions of stride 2 with LeakyReLU 0.2, and a fully connected layer. Without batch
    norm, which the gradient penalty forbids.

    Args:
        in_channels: channels of the images.
        base_channels: width of the first layer, doubled in each following one.
        image_size: ``(H, W)`` of the images, multiples of 8.

    Raises:
        ValueError: for an image size that is not a multiple of 8.
    """

    def __init__(self, in_channels: int = 3, base_channels: int = 64, image_size: Sequence[int] = (32, 32)) -> None:
        super().__init__()
        height, width = _coarse_size(type(self).__name__, image_size)
        widths = [in_channels, base_channels, 2 * base_channels, 4 * base_channels]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 5, stride=2, padding=2), nn.LeakyReLU(0.2))
            for before, after in pairwise(widths)
        )
        self.classifier = nn.Linear(widths[-1] * height * width, 1)
        self.apply(init_he)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """The outputs of all layers for images ``(N, in_channels, H, W)`` in [-1, 1], as one scale; the last are the
        scores, ``(N, 1)``.
        """
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return [[*outputs, self.classifier(x.flatten(1))]]
