"""Weight initialization of networks."""

from __future__ import annotations

from torch import nn


def init_normal(module: nn.Module, std: float = 0.02) -> None:
    """Draw a convolution's weights from N(0, std) and set its bias to 0, as DCGAN and pix2pixHD do.

    For use with ``nn.Module.apply``; other modules are unchanged.
    """
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_he(module: nn.Module) -> None:
    """Draw a convolution's weights as for ResNet (He et al., ICCV 2015, over outputs), and set its bias to 0.

    For use with ``nn.Module.apply``; other modules are unchanged.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        if module.bias is not None:
            nn.init.zeros_(module.bias)
