"""Feature denoising blocks."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS

# Window size of the local filters.
_WINDOW = 3


def nonlocal_softmax(theta: Tensor, phi: Tensor, x: Tensor) -> Tensor:
    """Weighted mean over all positions, with weights softmax(theta_i . phi_j / sqrt(E)).

    Args:
        theta: ``(N, E, H, W)``, embedding of the position being denoised.
        phi: ``(N, E, H, W)``, embedding of the positions being averaged.
        x: ``(N, C, H, W)``, the features being averaged.
    """
    # Contiguous inputs let fused attention kernels run, which never store the weights of all pairs of positions.
    query, key, value = (maps.flatten(2).mT.contiguous().unsqueeze(1) for maps in (theta, phi, x))
    padding = (0, x.shape[1] - theta.shape[1])
    query, key = F.pad(query, padding), F.pad(key, padding)
    mean = F.scaled_dot_product_attention(query, key, value, scale=theta.shape[1] ** -0.5)
    return mean.squeeze(1).mT.reshape(x.shape)


def nonlocal_dot(x: Tensor) -> Tensor:
    """Sum over all positions with weights x_i . x_j, divided by the number of positions."""
    positions = x.flatten(2)
    channels, number = positions.shape[1:]
    if channels < number:
        total = (positions @ positions.mT) @ positions
    else:
        total = positions @ (positions.mT @ positions)
    return (total / number).view(x.shape)


def bilateral(theta: Tensor, phi: Tensor, x: Tensor) -> Tensor:
    """:func:`nonlocal_softmax` over the 3x3 window around each position instead of the whole map."""
    height, width = x.shape[-2:]
    inside = _windows(x.new_ones(1, 1, height, width))
    scores = (theta.flatten(2).unsqueeze(2) * _windows(phi)).sum(1) / theta.shape[1] ** 0.5
    weights = scores.masked_fill(inside[:, 0] == 0, -torch.inf).softmax(1)
    return (weights.unsqueeze(1) * _windows(x)).sum(2).view(x.shape)


def mean_filter(x: Tensor) -> Tensor:
    """Mean of the part of the 3x3 window that lies inside the map."""
    return F.avg_pool2d(x, _WINDOW, 1, _WINDOW // 2, count_include_pad=False)


def median_filter(x: Tensor) -> Tensor:
    """Median of the 3x3 window, per channel; the edge is replicated."""
    margin = _WINDOW // 2
    padded = F.pad(x, (margin,) * 4, mode='replicate')
    return _windows(padded, padding=0).median(2).values.view(x.shape)


def _windows(x: Tensor, padding: int = _WINDOW // 2) -> Tensor:
    """``(N, C, 9, P)``: the 3x3 window of each position."""
    return F.unfold(x, _WINDOW, padding=padding).unflatten(1, (x.shape[1], -1))


# Filters that use the embeddings theta and phi, and filters of the features alone.
EMBEDDED: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    'nonlocal_embedded': nonlocal_softmax,
    'bilateral': bilateral,
}
PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    'nonlocal_gaussian': lambda x: nonlocal_softmax(x, x, x),
    'nonlocal_dot': nonlocal_dot,
    'mean': mean_filter,
    'median': median_filter,
    'null': lambda x: x,
}
KINDS = (*EMBEDDED, *PLAIN)


@MODELS.register_module()
class DenoisingBlock(BaseModule):
    """``y = x + BN(conv1x1(denoise(x)))`` of Xie et al., "Feature Denoising for Improving Adversarial Robustness" (CVPR
    2019). Initialized as the identity: the scale of BN is 0.

    Args:
        channels: channels of the feature map.
        kind: ``'nonlocal_embedded'``: the paper's "non-local, Gaussian (softmax)", with 1x1 convolutions theta and phi
            to half the channels; ``'nonlocal_gaussian'``: the same without them (equation 2 of Wang et al., CVPR 2018);
            ``'nonlocal_dot'``; ``'bilateral'``, ``'mean'`` and ``'median'`` in 3x3 windows; or ``'null'``, the paper's
            baseline with only the 1x1 convolution.

    Raises:
        ValueError: for an unknown kind.
    """

    def __init__(self, channels: int, kind: str = 'nonlocal_embedded') -> None:
        if kind not in KINDS:
            raise UsageError(f'unknown denoising kind {kind!r}; known: {", ".join(KINDS)}')
        super().__init__()
        self.kind = kind
        if kind in EMBEDDED:
            self.theta = nn.Conv2d(channels, max(channels // 2, 1), 1, bias=False)
            self.phi = nn.Conv2d(channels, max(channels // 2, 1), 1, bias=False)
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.init_weights()

    def init_weights(self) -> None:
        """Also reverts what the backbone's own initialisation has done to these layers."""
        for name in ('theta', 'phi') if self.kind in EMBEDDED else ():
            nn.init.normal_(getattr(self, name).weight, std=0.01)
        nn.init.kaiming_normal_(self.conv.weight, mode='fan_out', nonlinearity='relu')
        nn.init.zeros_(self.bn.weight)
        nn.init.zeros_(self.bn.bias)

    def denoise(self, x: Tensor) -> Tensor:
        """The filter alone, ``(N, C, H, W)``."""
        if self.kind in EMBEDDED:
            return EMBEDDED[self.kind](self.theta(x), self.phi(x), x)
        return PLAIN[self.kind](x)

    def forward(self, x: Tensor) -> Tensor:
        """Denoise a feature map ``(N, C, H, W)``."""
        with torch.autocast(x.device.type, enabled=False):
            # Sums over all positions can overflow half precision.
            full = x.to(torch.promote_types(x.dtype, self.conv.weight.dtype))
            return (full + self.bn(self.conv(self.denoise(full)))).to(x.dtype)
