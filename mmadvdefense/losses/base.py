"""The batch that a training term works on, and what all terms share."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..randomness import Randomness

ImageName = Literal['clean', 'adversarial', 'purified_clean', 'purified_adversarial']


class PurifierBatch(Protocol):
    """One training batch: clean and adversarial images, each before and after the purifier.

    A term reads only what it needs, so a batch may compute on demand.
    """

    @property
    def iteration(self) -> int:
        """Number of the training iteration, from 0."""
        ...

    @property
    def randomness(self) -> Randomness:
        """Random numbers of the batch."""
        ...

    @property
    def labels(self) -> Tensor:
        """Class of each vector of :meth:`class_features`, ``(M,)`` integers; M may be 0."""
        ...

    @property
    def task_losses(self) -> list[Tensor]:
        """The scalar losses of the target itself, on all images that it has seen."""
        ...

    @property
    def log_likelihood(self) -> Tensor:
        """Natural logarithm of each clean image's probability under a generative model, ``(N,)``."""
        ...

    def pixels(self, name: ImageName) -> Tensor:
        """Images in [-1, 1], ``(N, 3, h, w)``, at the purifier's working size."""
        ...

    def features(self, name: ImageName) -> Tensor:
        """The target model's features of the images, ``(N, ...)``."""
        ...

    def class_features(self, name: ImageName) -> Tensor:
        """Feature vectors that have a class label, ``(M, L)``: of images, pixels or boxes."""
        ...

    def discriminate(self, name: ImageName) -> list[list[Tensor]]:
        """Discriminator outputs by scale and layer, logits last; gradients reach the images, not the discriminator."""
        ...

    def discriminate_detached(self, name: ImageName) -> list[list[Tensor]]:
        """The same for detached images; gradients reach the discriminator's parameters."""
        ...

    def discriminate_images(self, images: Tensor) -> list[list[Tensor]]:
        """The same for any images in [-1, 1], such as mixtures; gradients flow to both."""
        ...

    def at(self, layer: str) -> PurifierBatch:
        """The same batch with the features of another layer, which a term has to name in ``other_layers``."""
        ...


def check_image_name(argument: str, name: str) -> None:
    """Raise a ``ValueError`` that lists the allowed names unless ``name`` is one of them."""
    if name not in get_args(ImageName):
        raise UsageError(
            f'{argument}={name!r} is not the name of images in a batch; use one of {", ".join(get_args(ImageName))}'
        )


def image_names(argument: str, names: ImageName | Sequence[ImageName]) -> tuple[ImageName, ...]:
    """One or several names as a tuple; raise a ``ValueError`` if one is unknown or repeated, or there is none."""
    several: tuple[ImageName, ...] = (names,) if isinstance(names, str) else tuple(names)
    for name in several:
        check_image_name(argument, name)
    if not several or len(set(several)) < len(several):
        raise UsageError(f'{argument} names one or more images, each once, not {list(several)}')
    return several


def total(losses: Iterable[Tensor]) -> Tensor:
    """The sum of at least one loss."""
    return functools.reduce(torch.add, losses)


class PurifierLoss(nn.Module):
    """A training term: ``forward`` is the bare loss, :meth:`terms` applies it to a batch.

    Args:
        loss_weight: multiplies everything that :meth:`terms` returns.
    """

    needs_discriminator: ClassVar[bool] = False

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        """Weighted scalar losses by name; names begin with ``loss_``, and losses of weight 0 are not computed."""
        raise NotImplementedError


class Half(NamedTuple):
    """The clean or the adversarial half of a guided loss."""

    name: str
    purified: ImageName
    guide: ImageName
    weight: float


class GuidedLoss(PurifierLoss):
    """Pulls each purified half of a batch towards its guide.

    Subclasses define :attr:`name`, :meth:`read` and ``forward(purified, guide)``.

    Args:
        clean_guide: the images that purified clean images are compared with.
        adv_guide: the images that purified adversarial images are compared with.
        clean_weight: weight of the clean half.
        adv_weight: weight of the adversarial half.
        loss_weight: weight of both.
        detach_guide: whether to keep gradients from flowing into a guide that has been purified, too.

    Raises:
        ValueError: if a guide is not an :data:`ImageName`.
    """

    name: ClassVar[str]

    def __init__(
        self,
        clean_guide: ImageName = 'clean',
        adv_guide: ImageName = 'purified_clean',
        clean_weight: float = 1.0,
        adv_weight: float = 1.0,
        loss_weight: float = 1.0,
        detach_guide: bool = False,
    ) -> None:
        super().__init__(loss_weight)
        check_image_name('clean_guide', clean_guide)
        check_image_name('adv_guide', adv_guide)
        self.clean_guide = clean_guide
        self.adv_guide = adv_guide
        self.clean_weight = clean_weight
        self.adv_weight = adv_weight
        self.detach_guide = detach_guide

    @property
    def halves(self) -> list[Half]:
        """The halves whose weight is not 0."""
        halves = [
            Half('clean', 'purified_clean', self.clean_guide, self.loss_weight * self.clean_weight),
            Half('adv', 'purified_adversarial', self.adv_guide, self.loss_weight * self.adv_weight),
        ]
        return [half for half in halves if half.weight]

    def read(self, batch: PurifierBatch, name: ImageName) -> Tensor:
        """The part of the batch that is compared."""
        raise NotImplementedError

    def as_guide(self, guide: Tensor) -> Tensor:
        """The guide as it is compared, detached if that was wanted."""
        return guide.detach() if self.detach_guide else guide

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        return {
            f'loss_{self.name}_{half.name}': half.weight
            * self(self.read(batch, half.purified), self.read(batch, half.guide))
            for half in self.halves
        }
