"""Defense-GAN: the nearest image that a generative model can draw."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from ...errors import DivergenceError, UsageError
from ...pixels import Pixels, resize, to_pixels, to_unit_range
from ...randomness import Randomness
from ...registry import MODELS
from ...validation import check_integer
from ..base import RandomPurifier
from ..sizes import map_by_size_randomly
from .gan import GANPurifier
from .step import PurifiedImages, PurifierStep


@MODELS.register_module()
class DefenseGANPurifier(GANPurifier, RandomPurifier):
    """Replaces an image by the nearest one in the range of a generator of natural images (Samangouei, Kabkab and
    Chellappa, "Defense-GAN: Protecting Classifiers Against Adversarial Attacks Using Generative Models", ICLR 2018).

    At test time, each image has ``num_restarts`` codes drawn from N(0, 1), which descend along the gradient of
    ``mean((G(z) - x)^2)`` for images in [-1, 1]; the code that ends nearest counts. All images and codes are searched
    at once, and an image's result does not depend on its batch. There is no useful gradient: whoever knows the defense
    attacks it with ``adaptive-bpda``.

    Trained on clean images alone, as a Wasserstein GAN (``WassersteinGANLoss``); the target takes no part. The
    generator draws images of one size; others are resized to it and back. It cannot draw scenes of many objects, so
    there is a recipe for classifiers alone.

    Args:
        num_steps: gradient steps ``L`` of a code.
        num_restarts: codes ``R`` for each image.
        learning_rate: of the search, with momentum; a tenth of it in the last fifth of the steps.
        momentum: of the search.
        seed: see :class:`RandomPurifier`.
        kwargs: of :class:`GANPurifier`, without working size and tiles.

    Raises:
        ValueError: for a setting out of range, or a generator that draws no images of codes.
        FloatingPointError: when purifying, if the search diverges.
    """

    default_generator = dict(type='WGANGenerator')
    recipe = 'defense_gan'
    trained_on_clean = True
    differentiable = False

    def __init__(
        self,
        num_steps: int = 200,
        num_restarts: int = 10,
        learning_rate: float = 10.0,
        momentum: float = 0.7,
        seed: int = 0,
        **kwargs,
    ):
        name = type(self).__name__
        check_integer(name, num_steps=num_steps, num_restarts=num_restarts)
        if not learning_rate > 0 or not 0 <= momentum < 1:
            raise UsageError(
                f'{name}: learning_rate must be > 0 and momentum in [0, 1), got {learning_rate} and {momentum}'
            )
        for setting in ('working_size', 'tile_size'):
            if kwargs.get(setting) is not None:
                raise UsageError(f'{name} draws images of the size of its generator: leave {setting} out')
        super().__init__(seed=seed, **kwargs)
        self.code_size = int(getattr(self.generator, 'code_size', 0))
        self.working_size = getattr(self.generator, 'image_size', None)
        if not self.code_size or not self.working_size:
            raise UsageError(f"{name} needs a generator of images from codes, e.g. dict(type='WGANGenerator')")
        self.num_steps = int(num_steps)
        self.num_restarts = int(num_restarts)
        self.learning_rate = learning_rate
        self.momentum = momentum

    def purify(self, images: Pixels, randomness: Optional[Randomness] = None) -> Pixels:
        """Search; the codes start where the seed and the image say if ``randomness`` is None."""
        randomness = self._randomness(images, None) if randomness is None else randomness
        return map_by_size_randomly(self._purify_stacked, images, randomness)

    def _purify_stacked(self, images: Tensor, randomness: Randomness) -> Tensor:
        size = self.working_size or images.shape[-2:]
        # Codes are searched at full precision and with gradients, whatever mode the model is tested in.
        with torch.inference_mode(False), torch.autocast(images.device.type, enabled=False):
            found = self.search(resize(to_unit_range(images.detach().clone()), size), randomness)
        if not found.isfinite().all():
            raise DivergenceError(f'{type(self).__name__} diverged within {self.num_steps} steps: lower learning_rate')
        return to_pixels(resize(found, images.shape[-2:]))

    def search(self, images: Tensor, randomness: Randomness) -> Tensor:
        """The nearest images that were found, for ``(N, 3, h, w)`` in [-1, 1] of the generator's size."""
        like = images.new_empty(len(images), self.num_restarts, self.code_size)
        codes = randomness.normal_like(like).flatten(0, 1)
        velocity = torch.zeros_like(codes)
        wanted = images.repeat_interleave(self.num_restarts, 0)
        for step in range(self.num_steps):
            with torch.enable_grad():
                codes.requires_grad_()
                # A sum over codes, so that each descends on its own.
                (gradient,) = torch.autograd.grad(self._distances(codes, wanted).sum(), codes)
            rate = self.learning_rate * (1 if 5 * step < 4 * self.num_steps else 0.1)
            velocity = self.momentum * velocity + gradient
            codes = codes.detach() - rate * velocity
        with torch.no_grad():
            drawn = self.generator(codes)
            best = self._distances(codes, wanted, drawn).view(-1, self.num_restarts).argmin(1)
            return drawn.unflatten(0, (-1, self.num_restarts))[torch.arange(len(images), device=best.device), best]

    def _distances(self, codes: Tensor, wanted: Tensor, drawn: Optional[Tensor] = None) -> Tensor:
        drawn = self.generator(codes) if drawn is None else drawn
        return (drawn - wanted).square().flatten(1).mean(1)

    def _train_on_clean(self, step: PurifierStep) -> Pixels:
        clean = self._at_working_size(step.clean)
        codes = step.randomness.normal_like(clean.new_empty(len(clean), self.code_size))
        drawn = self.generator(codes).to(clean.dtype)
        step.images = PurifiedImages(clean, None, drawn, None)
        # The target is not asked, but it runs: it gets the images as they are, which match their ground truth.
        return step.clean
