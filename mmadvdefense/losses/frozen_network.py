"""A pretrained network to look at images with, which is no part of what is trained or saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import get_torchvision_models
from torch import Tensor, nn

from ..errors import StateError, UsageError
from ..registry import MODELS
from ..tasks import FeatureTap

TORCHVISION = 'torchvision://'


class FrozenNetwork(nn.Module):
    """Yields the outputs of some layers of a network that follows ``.to()`` but hides from everything else.

    It is in no ``state_dict``, ``parameters()``, ``train()`` or ``init_weights()``.

    Args:
        network: config of any network in ``MODELS``.
        layers: module paths in it, such as ``'features.3'``; a layer that runs several times counts at its last run.
        weights: a checkpoint (``'torchvision://vgg16'``, a path, a URL) that holds all of the network; ``'random'``
            leaves the network as it is built; None calls its ``init_weights``, for configs that say where theirs are.

    Raises:
        RuntimeError: if the weights cannot be downloaded, or are not those of the network.
        ValueError: if there is no such layer, or torchvision has no such weights.
    """

    def __init__(self, network: dict, layers: Sequence[str], weights: str | None) -> None:
        super().__init__()
        model = MODELS.build(network)
        self._taps = [FeatureTap(model, layer) for layer in layers]
        if weights is None and hasattr(model, 'init_weights'):
            model.init_weights()
        elif weights not in (None, 'random'):
            _load(model, weights)
        for module in model.modules():
            # An in-place ReLU would overwrite the recorded output of the layer before it.
            if getattr(module, 'inplace', False):
                module.inplace = False
        # In two statements, because train() of MMPretrain's backbones returns None.
        model.eval()
        model.requires_grad_(False)
        # The tuple keeps it from being registered as a submodule.
        self._hidden = (model,)

    @property
    def network(self) -> nn.Module:
        return self._hidden[0]

    def _apply(self, fn: Callable, *args, **kwargs) -> FrozenNetwork:
        # What ``.to()`` goes through in PyTorch, and the one thing of a submodule that is wanted here.
        self.network._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The layers' outputs for ``(N, 3, H, W)``, in the order of ``layers``."""
        with ExitStack() as stack:
            for tap in self._taps:
                stack.enter_context(tap)
            self.network(x)
        return [tap.take() for tap in self._taps]


def _load(network: nn.Module, weights: str) -> None:
    """Load every tensor of the network, or raise."""
    checkpoint = _read(weights)
    checkpoint = checkpoint.get('state_dict', checkpoint)
    names = [name for name in network.state_dict() if not name.endswith('num_batches_tracked')]
    # A whole model of OpenMMLab keeps the network under this prefix.
    prefix = next((prefix for prefix in ('', 'backbone.') if any(prefix + name in checkpoint for name in names)), '')
    missing = [name for name in names if prefix + name not in checkpoint]
    if missing:
        raise StateError(
            f'{weights} lacks {len(missing)} of the {len(names)} tensors of {type(network).__name__}, '
            f'the first is {prefix + missing[0]!r}'
        )
    network.load_state_dict({name: checkpoint[prefix + name] for name in names}, strict=False)


def _read(weights: str) -> dict:
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
    urls = get_torchvision_models()
    if name not in urls:
        raise UsageError(f'torchvision has no weights {name!r}; for VGG there are vgg11, vgg13, vgg16 and vgg19')
    return urls[name]
