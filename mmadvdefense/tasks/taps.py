"""Read what flows through one layer of a model that stays untouched."""

from __future__ import annotations

from typing import Any, Literal, Optional

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import StateError
from ..models import find_layer


class FeatureTap:
    """Records the input or output of a layer inside ``with tap: ...``, and leaves no hook behind.

    Args:
        model: the model that owns the layer.
        layer: its name, as in ``model.named_modules()``.
        side: ``'input'`` or ``'output'``.

    Raises:
        ValueError: if the model has no such layer; the message lists similar names.
    """

    def __init__(self, model: nn.Module, layer: str, side: Literal['input', 'output'] = 'output'):
        self.layer = layer
        self.module = find_layer(model, layer)
        self.side = side
        self.value: Optional[Tensor] = None
        self._handle: Optional[RemovableHandle] = None

    def _record(self, module: nn.Module, args: tuple, output: Any) -> None:
        value = args[0] if self.side == 'input' else output
        self.value = value[-1] if isinstance(value, (tuple, list)) else value

    def __enter__(self) -> FeatureTap:
        self.value = None
        self._handle = self.module.register_forward_hook(self._record)
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle = None
        if kind is not None:
            self.value = None  # after an error nobody takes it

    def take(self) -> Tensor:
        """The recorded tensor, which is then forgotten, so that its graph can be freed."""
        if self.value is None:
            raise StateError(
                f'the layer {self.layer!r} of the model ({type(self.module).__name__}) did not run: name one that '
                'does, and leave the modules with such layers out of efficient_conv_bn_eval, if the config has it'
            )
        value, self.value = self.value, None
        return value


class ScoreTap(FeatureTap):
    """Records the class scores of a dense head, which are the first of its outputs: all levels together, ``(N, L)``."""

    def _record(self, module: nn.Module, args: tuple, output: Any) -> None:
        scores = [output[0]] if isinstance(output[0], Tensor) else output[0]
        self.value = torch.cat([level.flatten(1) for level in scores], 1)


def last_layer(model: nn.Module, prefix: str, preferred: str) -> Optional[str]:
    """The full name of the layer ``preferred`` of the module ``prefix``; None if it has no such layer."""
    name = f'{prefix}.{preferred}'
    return name if name in dict(model.named_modules()) else None
