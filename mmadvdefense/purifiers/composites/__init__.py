"""Purifiers made of several others, and the model that several defended classifiers make together."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...registry import MODELS


@MODELS.register_module(name='DefendedEnsemble')
def build_defended_ensemble(**settings: Any) -> nn.Module:
    """A :class:`~mmadvdefense.purifiers.composites.defended_ensemble.DefendedEnsemble`.

    MMPretrain, whose classifiers it extends, is imported only when one is built.
    """
    from .defended_ensemble import DefendedEnsemble

    return DefendedEnsemble(**settings)
