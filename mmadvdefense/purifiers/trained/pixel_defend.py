"""PixelDefend: the most likely image near the one that was given."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import UsageError
from ...networks.generative.logistic_mixture import LogisticMixture, discretized_logistic
from ...networks.generative.pixel_cnn import PixelCNN
from ...pixels import PIXEL_MAX, Layout, Pixels, pad_to_multiple, stack, to_unit_range
from ...registry import MODELS
from ...validation import check_integer
from ..sizes import map_by_size
from .generator import GeneratorPurifier
from .step import PurifiedImages, PurifierStep


@MODELS.register_module()
class PixelDefendPurifier(GeneratorPurifier):
    """Moves an image to where a generative model finds it more likely (Song et al., "PixelDefend: Leveraging Generative
    Models to Understand and Defend against Adversarial Examples", ICLR 2018, Algorithm 1).

    Row by row, each channel of each pixel becomes the value within ``eps`` of the given one that is most likely after
    the pixels purified so far. That takes one pass of the network for each pixel of the image, for all images at once:
    1,024 for 32x32. (The original takes three times as many; the three channels of PixelCNN++ share their parameters.)
    There is no useful gradient: whoever knows the defense attacks it with ``adaptive-bpda``.

    Trained on clean images alone (``NegativeLogLikelihoodLoss``); the target takes no part. For classifiers of small
    images alone: an image of 512x512 would take 262,144 passes.

    Args:
        eps: how far a channel may move, in whole pixels (0-255); the paper has 16 for CIFAR-10.
        max_pixels: the largest image, height times width, that is purified.
        kwargs: of :class:`GeneratorPurifier`, without working size and tiles.

    Raises:
        ValueError: for a setting out of range, a generator that is no ``PixelCNN``, or, when purifying, an image that
            is too large.
    """

    default_generator = dict(type='PixelCNN')
    recipe = 'pixel_defend'
    trained_on_clean = True
    differentiable = False
    generator: PixelCNN

    def __init__(self, eps: int = 16, max_pixels: int = 64 * 64, **kwargs):
        name = type(self).__name__
        check_integer(name, eps=eps, max_pixels=max_pixels)
        for setting in ('working_size', 'tile_size'):
            if kwargs.get(setting) is not None:
                raise UsageError(f'{name} takes images at their own size: leave {setting} out')
        super().__init__(**kwargs)
        if not isinstance(self.generator, PixelCNN):
            raise UsageError(f"{name} needs a generator that gives likelihoods: dict(type='PixelCNN')")
        self.eps = int(eps)
        self.max_pixels = int(max_pixels)

    def purify(self, images: Pixels) -> Pixels:
        for height, width in Layout.of(images).groups():
            if height * width > self.max_pixels:
                raise UsageError(
                    f'PixelDefendPurifier takes a pass of its network for each pixel, {height * width:,} for an image '
                    f'of {height}x{width}: purify smaller images, or set max_pixels={height * width}'
                )
        with torch.no_grad():
            return map_by_size(self._decode, images)

    def _decode(self, images: Tensor) -> Tensor:
        """Greedy decoding of pixels ``(N, 3, H, W)``."""
        lowest = (images - self.eps).ceil().clamp(min=0)
        highest = (images + self.eps).floor().clamp(max=PIXEL_MAX)
        purified = images.clone()
        with torch.autocast(images.device.type, enabled=False):
            for row in range(images.shape[2]):
                for column in range(images.shape[3]):
                    # No pixel below has a say.
                    known = pad_to_multiple(to_unit_range(purified[:, :, : row + 1]), self.generator.divisor)
                    mixture = LogisticMixture.of(self.generator(known)[..., row, column])
                    here = (..., row, column)
                    purified[here] = self._most_likely(mixture, lowest[here], highest[here])
        return purified

    def _most_likely(self, mixture: LogisticMixture, lowest: Tensor, highest: Tensor) -> Tensor:
        """The most likely value between two bounds, channel by channel, ``(N, 3)`` pixels.

        Args:
            mixture: of one pixel of each image.
            lowest: ``(N, 3)`` pixels.
            highest: ``(N, 3)`` pixels.
        """
        steps = torch.arange(2 * self.eps + 1, device=lowest.device, dtype=lowest.dtype)
        candidates = lowest[..., None] + steps
        log_joint, chosen = mixture.log_weights, lowest[:, :0]
        for channel in range(3):
            own = candidates[:, channel]
            mean = mixture.channel_mean(channel, to_unit_range(chosen))
            log_scale = mixture.log_scales[:, :, channel, None]
            log_probability = discretized_logistic(to_unit_range(own)[:, None], mean[..., None], log_scale)
            score = (log_joint[..., None] + log_probability).logsumexp(1)
            best = score.masked_fill(own > highest[:, channel, None], -torch.inf).argmax(1, keepdim=True)
            chosen = torch.cat([chosen, own.gather(1, best)], 1)
            log_joint = log_joint + log_probability.gather(2, best[:, None].expand(-1, log_joint.shape[1], 1))[..., 0]
        return chosen

    def _train_on_clean(self, step: PurifierStep) -> Pixels:
        if not Layout.of(step.clean).is_uniform:
            raise UsageError('PixelDefendPurifier trains on images of one size: resize them, or take crops')
        clean = to_unit_range(stack(step.clean)[0])
        padded = pad_to_multiple(clean, self.generator.divisor)
        by_pixel = self.generator.log_likelihood(padded)[..., : clean.shape[-2], : clean.shape[-1]]
        step.images = PurifiedImages(clean, None, None, None, by_pixel.flatten(1).sum(1))
        # The target is not asked, but it runs: it gets the images as they are.
        return step.clean
