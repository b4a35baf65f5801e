"""The auto-encoder that OAG is compared with."""

from __future__ import annotations

from typing import Optional

from mmcv.cnn import build_activation_layer
from torch import Tensor, nn

from ...randomness import Randomness
from ...registry import MODELS
from .layers import Parameters, PerImageConv2d, draw_uniform


@MODELS.register_module()
class ScalarAutoEncoders(nn.Module):
    """A convolution, a fully connected layer to a scalar, a non-linear activation, a fully connected layer back and a
    transposed convolution, with one network for each image (Li et al., "Online Alternate Generator against Adversarial
    Attacks", TIP 2021, section IV-H). The encoder is that of :class:`EnergyNetworks`, the decoder its mirror image.

    Args:
        num_filters: of the convolutions.
        kernel_size: of the convolutions, odd.
        stride: between positions of the kernel.
        act_cfg: the activation of the scalar. A ReLU would be dead for half of all random networks and leave nothing
            but biases to fit: LeakyReLU.

    Raises:
        ValueError: for a kernel size that is even, or a stride that leaves pixels out.
    """

    def __init__(
        self, num_filters: int = 8, kernel_size: int = 15, stride: int = 7, act_cfg: Optional[dict] = None
    ) -> None:
        super().__init__()
        self.conv = PerImageConv2d.covering(num_filters, kernel_size, stride)
        self.activation = build_activation_layer(act_cfg or dict(type='LeakyReLU', negative_slope=0.2))

    def draw(self, images: Tensor, randomness: Randomness) -> Parameters:
        """Random weights for each of ``(N, 3, H, W)``."""
        conv = self.conv
        code = (conv.out_channels, *conv.output_size(images.shape[-2:]))
        code_length = code[0] * code[1] * code[2]
        # What the transposed convolution makes a pixel of: in the middle of the image, the overlapping kernels.
        overlap = max(1, conv.out_channels * conv.kernel_size**2 // conv.stride**2)
        return {
            'encoder': conv.draw_weight(images, randomness),
            'encoder_bias': conv.draw_bias(images, randomness),
            'to_scalar': draw_uniform(images, code, code_length, randomness),
            'to_scalar_bias': draw_uniform(images, (1,), code_length, randomness),
            'from_scalar': draw_uniform(images, code, 1, randomness),
            'from_scalar_bias': draw_uniform(images, code, 1, randomness),
            'decoder': draw_uniform(images, conv.shape, overlap, randomness),
            'decoder_bias': draw_uniform(images, (conv.in_channels,), overlap, randomness),
        }

    def forward(self, images: Tensor, parameters: Parameters) -> Tensor:
        """What is left of ``(N, 3, H, W)`` behind the scalar, of the same shape."""
        code = self.conv(images, parameters['encoder'], parameters['encoder_bias'])
        scalar = (code * parameters['to_scalar']).flatten(1).sum(1, keepdim=True) + parameters['to_scalar_bias']
        scalar = self.activation(scalar)[:, :, None, None]
        code = scalar * parameters['from_scalar'] + parameters['from_scalar_bias']
        return self.conv.transposed(code, parameters['decoder'], parameters['decoder_bias'], images.shape[-2:])
