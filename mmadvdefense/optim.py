"""Mixed precision where MMEngine has none: its ``AmpOptimWrapper`` asks for a GPU."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from .registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Forward passes under autocast to bfloat16, which has the range of float32, so that no loss needs scaling. On
    CPUs with instructions for it (AVX512-BF16, AMX) and on GPUs since Ampere.

    Args:
        kwargs: of MMEngine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
