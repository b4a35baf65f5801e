"""Mixed precision without a GPU, which MMEngine's ``AmpOptimWrapper`` requires."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.config import Config
from mmengine.device import is_cuda_available
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from ..errors import UsageError
from ..registry import OPTIM_WRAPPERS, builds

_PRECISION = ('loss_scale', 'dtype', 'use_fsdp')


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs forward passes under autocast to bfloat16, which has the range of float32 and needs no loss scaling. For
    CPUs with bfloat16 instructions (AVX512-BF16, AMX) and GPUs since Ampere.

    Args:
        kwargs: of MMEngine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def wrapper_settings(wrapper: dict) -> dict:
    """The settings of an optimizer wrapper that are independent of its optimizer: accumulation and precision."""
    mixed = any(builds(wrapper, name, OPTIM_WRAPPERS) for name in ('AmpOptimWrapper', 'BFloat16OptimWrapper'))
    keys = ('accumulative_counts', *(('type', *_PRECISION) if mixed else ()))
    return {key: value for key, value in dict.items(wrapper) if key in keys}


def use_mixed_precision(config: Config) -> None:
    """Enable mixed precision: float16 on a GPU, bfloat16 on a CPU.

    Raises:
        ValueError: for a config without an optimizer.
    """
    wrapper = config.get('optim_wrapper')
    if not wrapper:
        raise UsageError('mixed precision is a setting of optim_wrapper, which the config lacks')
    if is_cuda_available():
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')
    else:
        # MMEngine's wrapper does not run without a GPU.
        wrapper.type = 'BFloat16OptimWrapper'
        for name in _PRECISION:
            wrapper.pop(name, None)
