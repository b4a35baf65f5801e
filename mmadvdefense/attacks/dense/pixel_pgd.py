"""PGD with objectives of pixels."""

from __future__ import annotations

from functools import partialmethod

from ...registry import ATTACKS
from ..gradient.loop import GradientAttack


@ATTACKS.register_module()
class SegPGD(GradientAttack):
    """PGD that turns from right to wrong pixels as it proceeds (Gu et al., ECCV 2022); for segmentors."""

    __init__ = partialmethod(GradientAttack.__init__, random_start='uniform', objective='segpgd')


@ATTACKS.register_module()
class CosPGD(GradientAttack):
    """PGD that weights a pixel with how right it is (Agnihotri et al., ICML 2024); for segmentors."""

    __init__ = partialmethod(GradientAttack.__init__, random_start='uniform', objective='cospgd')
