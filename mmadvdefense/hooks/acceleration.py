"""The same networks, faster: in another memory layout, or compiled."""

from __future__ import annotations

from typing import Any, Sequence

import torch
from mmengine.hooks import Hook
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from ..errors import UsageError
from ..models import find_layer, unwrap
from ..registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Stores the weights of all 2D convolutions, the purifier's included, in PyTorch's channels-last layout.

    Feature maps follow their weights, so images stay as they are, and so do shapes, checkpoints and configs. Results
    differ by rounding. On CPUs it pays for most convolutional networks, on CUDA for those that train in half precision.
    """

    def before_run(self, runner) -> None:
        convert_conv2d_weight_memory_format(unwrap(runner.model), torch.channels_last)


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles networks with ``torch.compile`` during training: by default the purifier's generator and the backbone.

    What they compute is the same but for rounding. The first iterations take minutes: each network is compiled anew
    for training, for the attack, and without gradients. What runs around a network stays as it is, so hooks and layers
    such as ``feature_layer`` see a compiled network, but not what is inside of it. Checkpoints are not affected.

    Args:
        modules: names of the networks, as in ``model.named_modules()``.
        **options: of ``torch.compile``, such as ``mode``, ``backend`` or ``dynamic``, which is by default turned on by
            the first batch of another size.

    Raises:
        ValueError: before training, if the model has no such module, or one is named twice or inside another one; the
            message lists similar names.
    """

    def __init__(self, modules: Sequence[str] = ('data_preprocessor.generator', 'backbone'), **options: Any):
        if isinstance(modules, str):
            raise UsageError(f'modules must be a list of names, got {modules!r}')
        self.modules, self.options = tuple(modules), options
        for index, name in enumerate(self.modules):
            if any(f'{name}.'.startswith(f'{other}.') for other in self.modules[:index] + self.modules[index + 1 :]):
                raise UsageError(
                    f'{name} would be compiled twice, by itself or in another one: modules={list(modules)}'
                )
        self._plain: list[tuple[nn.Module, Any]] = []

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        networks = [find_layer(model, name) for name in self.modules]
        # MMEngine's own efficient_conv_bn_eval may have replaced it.
        self._plain = [(network, vars(network).get('forward')) for network in networks]
        for network in networks:
            # Not network.compile(), which compiles hooks, too, and then does not see those that are registered later.
            network.forward = torch.compile(network.forward, **self.options)

    def after_train(self, runner) -> None:
        for network, forward in self._plain:
            del network.forward
            if forward is not None:
                network.forward = forward
        self._plain = []
