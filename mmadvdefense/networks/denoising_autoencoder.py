"""The denoising autoencoder that serves as a baseline for HGD's U-Net."""

from __future__ import annotations

from ..registry import MODELS
from .dunet import DUNet


@MODELS.register_module()
class DenoisingAutoEncoder(DUNet):
    """DAE of `HGD <https://arxiv.org/abs/1712.02976>`_, section 3.1.1: DUNET without lateral connections, so that all
    information passes through the bottleneck. 9.7 M parameters by default.

    Args:
        kwargs: of :class:`DUNet`, without ``lateral``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(lateral=False, **kwargs)
