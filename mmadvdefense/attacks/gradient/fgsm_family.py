"""The named gradient attacks, each defined by the defaults of the loop that it changes."""

from __future__ import annotations

from functools import partialmethod
from typing import Any, Optional

from ...registry import ATTACKS
from .loop import GradientAttack


@ATTACKS.register_module()
class FGSM(GradientAttack):
    """One step with the full budget (Goodfellow et al., ICLR 2015)."""

    def __init__(self, eps: float, step_size: Optional[float] = None, **options: Any):
        # With eps=0 every step is projected back to the clean image, but the step size must be positive.
        super().__init__(eps, (eps or 1.0) if step_size is None else step_size, steps=1, **options)


@ATTACKS.register_module(name=['BIM', 'IFGSM'])
class BIM(GradientAttack):
    """Several small steps from the clean image (Kurakin et al., ICLR 2017 workshop); also called I-FGSM."""


@ATTACKS.register_module()
class PGD(GradientAttack):
    """BIM from a random start (Madry et al., ICLR 2018)."""

    __init__ = partialmethod(GradientAttack.__init__, random_start='uniform')


@ATTACKS.register_module()
class MIFGSM(GradientAttack):
    """BIM with momentum (Dong et al., CVPR 2018)."""

    __init__ = partialmethod(GradientAttack.__init__, momentum=1.0)


@ATTACKS.register_module()
class DIFGSM(GradientAttack):
    """BIM on randomly resized images (DI2-FGSM, Xie et al., CVPR 2019); with ``momentum=1.0`` M-DI2-FGSM."""

    __init__ = partialmethod(GradientAttack.__init__, diversity=0.5)


@ATTACKS.register_module()
class TIFGSM(GradientAttack):
    """BIM along smoothed gradients (TI-BIM, Dong et al., CVPR 2019); with momentum and diversity TI-DIM.

    Args:
        args: ``eps``, ``step_size`` and ``steps`` of :class:`GradientAttack`.
        kernel_size: 15 pixels as in the paper, for images of 299 pixels; small images need smaller kernels.
        kernel_sigma: by default the Gaussian is truncated at three standard deviations, as in the authors' code.
        options: all other options of :class:`GradientAttack`.
    """

    def __init__(
        self, eps: float, *args: Any, kernel_size: int = 15, kernel_sigma: Optional[float] = None, **options: Any
    ):
        sigma = (kernel_size - 1) / 6 if kernel_sigma is None else kernel_sigma
        options.update(kernel_size=kernel_size, kernel_sigma=sigma)
        super().__init__(eps, *args, **options)
