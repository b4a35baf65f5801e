"""The gradient attacks: each states which options of the loop it is known by."""

from __future__ import annotations

from typing import Optional

from ...registry import ATTACKS
from .loop import GradientAttack


@ATTACKS.register_module()
class FGSM(GradientAttack):
    """One step of the whole budget (Goodfellow et al., ICLR 2015)."""

    def __init__(self, eps: float, step_size: Optional[float] = None, **kwargs):
        # With eps=0 any step leads back to the clean image, but a step must not be 0.
        super().__init__(eps, (eps or 1.0) if step_size is None else step_size, steps=1, **kwargs)


@ATTACKS.register_module(name=['BIM', 'IFGSM'])
class BIM(GradientAttack):
    """Several small steps from the clean image (Kurakin et al., ICLR 2017 workshop); also called I-FGSM."""


@ATTACKS.register_module()
class PGD(GradientAttack):
    """BIM from a random start (Madry et al., ICLR 2018)."""

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        random_start: Optional[str] = 'uniform',
        **kwargs,
    ):
        super().__init__(eps, step_size, steps, random_start=random_start, **kwargs)


@ATTACKS.register_module()
class MIFGSM(GradientAttack):
    """BIM along the sum of all gradients so far (Dong et al., CVPR 2018)."""

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        momentum: float = 1.0,
        **kwargs,
    ):
        super().__init__(eps, step_size, steps, momentum=momentum, **kwargs)


@ATTACKS.register_module()
class DIFGSM(GradientAttack):
    """BIM on randomly resized images (DI2-FGSM, Xie et al., CVPR 2019); with ``momentum=1.0`` M-DI2-FGSM."""

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        diversity: float = 0.5,
        **kwargs,
    ):
        super().__init__(eps, step_size, steps, diversity=diversity, **kwargs)


@ATTACKS.register_module()
class TIFGSM(GradientAttack):
    """BIM along smoothed gradients (TI-BIM, Dong et al., CVPR 2019); with momentum and diversity TI-DIM.

    Args:
        eps: as in :class:`GradientAttack`, like all but the following.
        step_size: pixels.
        steps: how many.
        kernel_size: 15 pixels as in the paper, for images of 299; small images need smaller ones.
        kernel_sigma: by default the Gaussian ends at three standard deviations, as in the authors' code.
        kwargs: more options.
    """

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        kernel_size: int = 15,
        kernel_sigma: Optional[float] = None,
        **kwargs,
    ):
        sigma = (kernel_size - 1) / 6 if kernel_sigma is None else kernel_sigma
        super().__init__(eps, step_size, steps, kernel_size=kernel_size, kernel_sigma=sigma, **kwargs)
