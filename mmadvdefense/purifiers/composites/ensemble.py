"""The purifiers of an ensemble of defended models."""

from __future__ import annotations

from typing import Optional, Sequence

import torch
from torch import Tensor, nn

from ...errors import StateError
from ...pixels import Pixels, stack
from ...randomness import Randomness
from ..base import Purifier
from .base import CompositePurifier


class EnsemblePurifier(CompositePurifier):
    """Several purifiers side by side: what each makes of the images is a view, and the views are stacked as channels.

    The ensemble takes them apart again and hands each to its model. Its native preprocessor leaves pixels as they are,
    since every model brings its own.

    Args:
        purifiers: one for each view; None stands for the images as they come.
        average: whether there is a single view, the mean of all.
        kwargs: of :class:`RandomPurifier`.
    """

    def __init__(self, purifiers: Sequence[Optional[Purifier]], average: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.purifiers = nn.ModuleList(nn.Identity() if purifier is None else purifier for purifier in purifiers)
        self.average = average

    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        """Views ``(N, 3 * V, H, W)``, or a list of ``(3 * V, H_i, W_i)``."""
        views = [
            purifier.clean(images, randomness) if isinstance(purifier, Purifier) else images
            for purifier in self.purifiers
        ]
        stacked = [view for view in views if isinstance(view, Tensor)]
        joined = torch.cat(stacked, 1) if isinstance(images, Tensor) else [torch.cat(own) for own in zip(*views)]
        return _mean_view(joined) if self.average else joined

    def forward(self, data: dict, training: bool = False) -> dict:
        """As any purifier's, at test time.

        Raises:
            RuntimeError: in training.
        """
        if not self.enabled:
            return self.native(data, training)
        if training:
            raise StateError('an ensemble of defended models is not trained: train each of its members by itself')
        samples = data.get('data_samples')
        images = self.load_pixels(data['inputs'], samples)
        views = self.clean(images, self._randomness(data['inputs'], samples))
        # Whatever measures the input of the native preprocessor expects a single image.
        processed = self.native({**data, 'inputs': _mean_view(views)}, training)
        return {**processed, 'inputs': stack(views)[0]}


def _mean_view(views: Pixels) -> Pixels:
    if isinstance(views, Tensor):
        return views.unflatten(1, (-1, 3)).mean(1)
    return [own.unflatten(0, (-1, 3)).mean(0) for own in views]
