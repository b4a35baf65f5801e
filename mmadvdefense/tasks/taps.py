"""Read what flows through one layer of a model that stays untouched."""

from __future__ import annotations

from typing import Literal, Optional

import torch
from torch import Tensor, nn

from ..models import find_layer


class FeatureTap:
    """Records the input or output of a layer while it is entered (``with tap: ...``), and leaves no hook behind.

    Args:
        model: the model that owns the layer.
        layer: its name, as in ``model.named_modules()``.
        side: ``'input'`` or ``'output'``.

    Raises:
        ValueError: if the model has no such layer; the message lists near names.
    """

    def __init__(self, model: nn.Module, layer: str, side: Literal['input', 'output'] = 'output'):
        self.module = find_layer(model, layer)
        self.side = side
        self.value: Optional[Tensor] = None
        self._handle = None

    def _record(self, module: nn.Module, args: tuple, output) -> None:
        value = args[0] if self.side == 'input' else output
        self.value = value[-1] if isinstance(value, (tuple, list)) else value

    def __enter__(self) -> FeatureTap:
        self.value = None
        self._handle = self.module.register_forward_hook(self._record)
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._handle.remove()
        self._handle = None
        if kind is not None:
            self.value = None  # after an error nobody takes it

    def take(self) -> Tensor:
        """The recorded tensor; forgets it, so that no graph outlives its use."""
        if self.value is None:
            raise RuntimeError(f'the layer of the tap ({type(self.module).__name__}) did not run')
        value, self.value = self.value, None
        return value


class ScoreTap(FeatureTap):
    """Records the class scores of a dense head, the first of its outputs: those of all levels as ``(N, L)``."""

    def _record(self, module: nn.Module, args: tuple, output) -> None:
        scores = [output[0]] if isinstance(output[0], Tensor) else output[0]
        self.value = torch.cat([level.flatten(1) for level in scores], 1)


def last_layer(model: nn.Module, prefix: str, preferred: str) -> Optional[str]:
    """The name of ``prefix``'s layer ``preferred``, None if it has none."""
    name = f'{prefix}.{preferred}'
    return name if name in dict(model.named_modules()) else None
