"""A pretrained network that compares images and is neither trained nor saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import get_torchvision_models
from torch import Tensor, nn

from ..checkpoints import compare_state_dict, state_dict_of
from ..errors import StateError, UsageError
from ..registry import MODELS
from ..tasks import FeatureTap

TORCHVISION = 'torchvision://'


class FrozenNetwork(nn.Module):
    """Returns the outputs of some layers of a network that follows ``.to()`` but is hidden from everything else.

    ``state_dict()``, ``parameters()``, ``train()`` and ``init_weights()`` do not reach it.

    Args:
        network: config of any network in ``MODELS``.
        layers: module paths in it, such as ``'features.3'``; of a layer that runs several times, the last run counts.
        weights: a checkpoint (``'torchvision://vgg16'``, a path, a URL) with all of the network's tensors; ``'random'``
            leaves the network as it was built; None calls its ``init_weights``, for configs that say where their
            weights are.

    Raises:
        RuntimeError: if the weights cannot be downloaded, or do not fill the network.
        ValueError: if there is no such layer, or torchvision has no such weights.
    """

    def __init__(self, network: dict[str, Any], layers: Sequence[str], weights: str | None) -> None:
        super().__init__()
        model: nn.Module = MODELS.build(network)
        self._taps = [FeatureTap(model, layer) for layer in layers]
        if weights is None:
            initialize = getattr(model, 'init_weights', None)
            if initialize is not None:
                initialize()
        elif weights != 'random':
            _load(model, weights)
        for module in model.modules():
            # An in-place ReLU would overwrite the recorded output of the layer before it.
            if getattr(module, 'inplace', False):
                vars(module)['inplace'] = False
        # In two statements, because train() of MMPretrain's backbones returns None.
        model.eval()
        model.requires_grad_(False)
        # The tuple keeps it from being registered as a submodule.
        self._hidden: tuple[nn.Module] = (model,)

    @property
    def network(self) -> nn.Module:
        """The network itself."""
        return self._hidden[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FrozenNetwork:
        # PyTorch's ``.to()`` goes through this; nothing else that a submodule does is wanted here.
        self.network._apply(fn, recurse)
        super()._apply(fn, recurse)
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """The layers' outputs for ``(N, 3, H, W)``, in the order of ``layers``."""
        with ExitStack() as stack:
            for tap in self._taps:
                stack.enter_context(tap)
            self.network(x)
        return [tap.take() for tap in self._taps]


def _load(network: nn.Module, weights: str) -> None:
    """Load every tensor of the network, or raise."""
    checkpoint = state_dict_of(_read(weights), weights)
    names = [name for name in network.state_dict() if not name.endswith('num_batches_tracked')]
    # A whole model of OpenMMLab keeps the network under this prefix.
    prefix = next((prefix for prefix in ('', 'backbone.') if any(prefix + name in checkpoint for name in names)), '')
    offered = {name.removeprefix(prefix): value for name, value in checkpoint.items() if name.startswith(prefix)}
    missing = compare_state_dict(network, offered, ignore=()).missing
    if missing:
        raise StateError(
            f'{weights} lacks {len(missing)} of the {len(names)} tensors of {type(network).__name__}, '
            f'the first is {prefix + missing[0]!r}'
        )
    network.load_state_dict(offered, strict=False)


def _read(weights: str) -> Any:
    url = _torchvision_url(weights.removeprefix(TORCHVISION)) if weights.startswith(TORCHVISION) else weights
    try:
        return CheckpointLoader.load_checkpoint(url, map_location='cpu')
    except OSError as error:
        if '://' not in url:
            raise
        place = Path(torch.hub.get_dir(), 'checkpoints', Path(url).name)
        raise StateError(
            f'{weights} could not be downloaded ({error}). Download {url} yourself and put it at {place}, '
            "or pass weights='path/to/file'"
        ) from error


def _torchvision_url(name: str) -> str:
    urls: dict[str, str] = get_torchvision_models()
    if name not in urls:
        raise UsageError(f'torchvision has no weights {name!r}; for VGG there are vgg11, vgg13, vgg16 and vgg19')
    return urls[name]
