"""Measures how a perturbation grows from layer to layer (HGD: Liao et al., CVPR 2018, section 5.1)."""

from __future__ import annotations

import copy
from contextlib import ExitStack, contextmanager
from typing import Iterator, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import UsageError
from ..models import unwrap
from ..purifiers import switched
from ..registry import HOOKS
from ..tasks import FeatureTap
from ..threats.measurements import Measurements


@HOOKS.register_module()
class ErrorAmplificationHook(Hook):
    """Adds ``amplification/<layer>`` to the metrics of a test: ``|f(x*) - f(x)|_1 / |f(x)|_1``, the mean over images.

    ``f`` is the output of a layer of the target, ``x`` the clean image without the purifier, and ``x*`` the image that
    the target is tested on: attacked or not, purified or not. Costs one extra forward pass per batch.

    Args:
        layers: names as in ``model.named_modules()``.

    Raises:
        ValueError: for a layer that the model does not have; the message suggests similar names. During the test, for a
            layer whose output does not have one entry per image, or differs in shape between attacked and clean images.
    """

    # Runs before the attack, while images are still clean.
    priority = 'HIGH'

    def __init__(self, layers: Sequence[str]):
        self.layers = list(layers)
        # Holds the layer hooks of the current batch.
        self._open = ExitStack()

    def before_test_epoch(self, runner) -> None:
        self._model: BaseModel = unwrap(runner.model)
        self._taps = {layer: FeatureTap(self._model, layer) for layer in self.layers}
        self._measurements = Measurements()

    def before_test_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        with switched(self._model.data_preprocessor, False), self._recording():
            # A copy, because native preprocessors modify the samples.
            self._model.test_step(copy.deepcopy(data_batch))
            self._clean = self._take()
        self._open.enter_context(self._recording())

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        attacked = self._take()
        self._open.close()
        ratios = {layer: _ratio(layer, attacked[layer], self._clean[layer], len(outputs)) for layer in self.layers}
        self._measurements.add([''] * len(outputs), ratios)

    def after_test_epoch(self, runner, metrics: dict) -> None:
        table = self._measurements.gather(len(runner.test_dataloader.dataset))
        if table is not None:
            metrics.update({f'amplification/{layer}': sum(table[layer]) / len(table[layer]) for layer in self.layers})

    def close(self) -> None:
        """Remove all layer hooks if an epoch ends early."""
        self._open.close()

    @contextmanager
    def _recording(self) -> Iterator[None]:
        with ExitStack() as stack:
            for tap in self._taps.values():
                stack.enter_context(tap)
            yield

    def _take(self) -> dict[str, Tensor]:
        return {layer: tap.take().detach() for layer, tap in self._taps.items()}


def _ratio(layer: str, attacked: Tensor, clean: Tensor, images: int) -> Tensor:
    if attacked.shape != clean.shape or len(clean) != images:
        raise UsageError(
            f'layer {layer!r} gives {tuple(clean.shape)} for {images} clean images and {tuple(attacked.shape)} for '
            'attacked ones; name a layer whose output has one entry per image'
        )
    size = clean.flatten(1).abs().double().sum(1)
    change = (attacked - clean).flatten(1).abs().double().sum(1)
    # If the output is zero in both cases, nothing was amplified.
    return torch.where(change == 0, change, change / size)
