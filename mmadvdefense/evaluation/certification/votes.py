"""Votes of a model on noisy copies of an image, by class."""

from __future__ import annotations

import math
from typing import Optional

import torch
from torch import Tensor, nn

from ...attacks import AttackSource
from ...errors import UsageError
from ...models import preprocessor_of, unwrap
from ...noise import add_gaussian_noise, checked_sigma
from ...pixels import Pixels
from ...purifiers import Purifier, SmoothedPurifier
from ...randomness import Randomness, derive_seed

# Values of a batch by default, images by height by width.
_BATCH_PIXELS = {'cpu': 64 * 32 * 32}
_BATCH_PIXELS_OF_ACCELERATORS = 4096 * 32 * 32


class NoisyVotes:
    """Counts which class a model decides on, over copies of one image with independent Gaussian noise.

    What is counted is the whole of the classifier: noise, clipping to 0-255, the purifier, the native preprocessor and
    the model. A :class:`~mmadvdefense.purifiers.SmoothedPurifier` adds the noise itself; in front of other
    purifiers, or of a model without one, it is added here.

    Args:
        model: a classifier or a segmentor; it is in eval mode while it votes.
        sigma: standard deviation of the noise in pixels (0-255); None for that of the ``SmoothedPurifier``.
        purifier: whether to use the purifier; a model that has none is not changed by it.
        batch_size: number of noisy copies at once; None for about 64 images of CIFAR's size on a CPU and 4096
            otherwise. Other batch sizes and other kinds of devices draw other noise.

    Raises:
        UsageError: for a ``sigma`` that is below 1, missing, or not the purifier's; for a model that does not put each
            image or pixel in one class.
        StateError: for an untrained purifier.
    """

    def __init__(
        self,
        model: nn.Module,
        sigma: Optional[float] = None,
        purifier: bool = True,
        batch_size: Optional[int] = None,
    ):
        model = unwrap(model)
        found = preprocessor_of(model)
        self.purifier = found if purifier and isinstance(found, Purifier) and found.enabled else None
        own = found.sigma if isinstance(found, SmoothedPurifier) else None
        if sigma is None and own is None:
            raise UsageError(
                f'{type(found).__name__} has no noise of its own: set sigma, in pixels (0-255), to the noise under '
                'which the model is to be certified'
            )
        self.sigma = checked_sigma('certification', own if sigma is None else sigma)
        if self.purifier is not None and own is not None and not math.isclose(self.sigma, own, rel_tol=1e-6):
            raise UsageError(
                f'the purifier was trained for sigma={own:g} and adds that noise, so it cannot be certified under '
                f'sigma={self.sigma:g}; leave sigma out, or train a purifier for it'
            )
        if batch_size is not None and batch_size < 1:
            raise UsageError(f'batch_size must be at least 1, got {batch_size}')
        self._batch_size = batch_size
        self.source = AttackSource(model, defense=self.noisy)
        self.task = self.source.task
        self.task.require_class_scores('certification', 'it can be certified for classifiers and segmentors')
        if not (self.task.one_label or self.task.dense):
            raise UsageError('certification is for models that put each image, or each pixel, in one class')
        if self.purifier is not None:
            self.purifier.check_ready()

    @property
    def per_pixel(self) -> bool:
        """Whether there is a vote for every pixel of an image, rather than one."""
        return not self.task.one_label

    def noisy(self, images: Pixels, randomness: Randomness) -> Pixels:
        """What the native preprocessor is given: the images with noise, after the purifier; differentiable as that is.

        Args:
            images: pixels 0-255.
            randomness: of the noise, and of a random purifier.
        """
        if isinstance(self.purifier, SmoothedPurifier):
            return self.purifier.clean(images, randomness)
        noisy = add_gaussian_noise(images, self.sigma, randomness)
        return noisy if self.purifier is None else self.purifier.clean(noisy, randomness.derive('purifier'))

    def batch_size(self, image: Tensor) -> int:
        """Number of noisy copies of an image, ``(3, H, W)``, that are classified at once."""
        if self._batch_size is not None:
            return self._batch_size
        pixels = _BATCH_PIXELS.get(image.device.type, _BATCH_PIXELS_OF_ACCELERATORS)
        return max(1, pixels // image[0].numel())

    def count(self, image: Tensor, number: int, seed: int) -> Tensor:
        """The number of votes for each class.

        Args:
            image: pixels 0-255, ``(3, H, W)``, on the model's device.
            number: of noisy copies.
            seed: of the noise; the same seed, device and batch size give the same votes.

        Returns:
            ``(K,)``, or ``(K, H, W)`` if pixels vote; int32, on the image's device.
        """
        height, width = image.shape[-2:]
        votes: Optional[Tensor] = None
        step = self.batch_size(image)
        with torch.no_grad(), self.source.undisturbed():
            # Once for a source: whether the class scores are what the host decides by.
            self.source.check_scores(image[None], Randomness(derive_seed(seed, 'check')))
            for start in range(0, number, step):
                copies = image.expand(min(step, number - start), -1, -1, -1)
                scores = self.source.logits(copies, Randomness(derive_seed(seed, start)))
                if votes is None:
                    shape = (height, width) if self.per_pixel else ()
                    votes = torch.zeros(scores.shape[1], *shape, dtype=torch.int32, device=scores.device)
                # Preprocessors pad below and on the right.
                decided = scores.argmax(1)[..., :height, :width] if self.per_pixel else scores.argmax(1)
                votes.scatter_add_(0, decided, torch.ones_like(decided, dtype=torch.int32))
        assert votes is not None, 'there is at least one copy'
        return votes
