"""The network of OAG."""

from __future__ import annotations

from typing import Optional

from mmcv.cnn import build_activation_layer
from torch import Tensor, nn

from ...randomness import Randomness
from ...registry import MODELS
from .layers import Parameters, PerImageConv2d, draw_uniform


@MODELS.register_module()
class EnergyNetworks(nn.Module):
    """``F``, minus the energy of an image, with one network for each image: a convolution, a non-linear activation and
    one fully connected layer to a scalar (Li et al., "Online Alternate Generator against Adversarial Attacks", TIP
    2021, section III-C).

    Holds no weights: :meth:`draw` makes them for a batch. The fully connected layer has no bias, which neither update
    of the method would see: it drops out of the gradient to the image and of the difference of two images.

    Args:
        num_filters: of the convolution; the paper does not say.
        kernel_size: 15 in the paper, odd.
        stride: between positions of the kernel; the paper does not say. About half the kernel covers every pixel
            four times, and costs a fraction of every position.
        act_cfg: the activation; ReLU where the paper names one (Eq. 6).

    Raises:
        ValueError: for a kernel size that is even, or a stride that leaves pixels out.
    """

    def __init__(
        self, num_filters: int = 8, kernel_size: int = 15, stride: int = 7, act_cfg: Optional[dict] = None
    ) -> None:
        super().__init__()
        self.conv = PerImageConv2d.covering(num_filters, kernel_size, stride)
        self.activation = build_activation_layer(act_cfg or dict(type='ReLU'))

    def num_inputs(self, images: Tensor) -> int:
        """How many numbers all positions of the kernel see together in each image."""
        height, width = self.conv.output_size(images.shape[-2:])
        return self.conv.fan_in * height * width

    def draw(self, images: Tensor, randomness: Randomness) -> Parameters:
        """Random weights for each of ``(N, 3, H, W)``."""
        shape = (self.conv.out_channels, *self.conv.output_size(images.shape[-2:]))
        return {
            'filters': self.conv.draw_weight(images, randomness),
            'biases': self.conv.draw_bias(images, randomness),
            'weights': draw_uniform(images, shape, shape[0] * shape[1] * shape[2], randomness),
        }

    def forward(self, images: Tensor, parameters: Parameters) -> Tensor:
        """``F(I, θ)`` of ``(N, 3, H, W)``, ``(N,)``."""
        responses = self.activation(self.conv(images, parameters['filters'], parameters['biases']))
        return (responses * parameters['weights']).flatten(1).sum(1)
