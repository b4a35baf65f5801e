"""What a training term is given, and what all terms share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol, get_args

from torch import Tensor, nn

from ..errors import UsageError

ImageName = Literal['clean', 'adversarial', 'purified_clean', 'purified_adversarial']


class PurifierBatch(Protocol):
    """One training batch: clean and adversarial images, each before and after the purifier.

    A term asks only for what it needs, so a batch may compute on demand.
    """

    @property
    def labels(self) -> Tensor:
        """Class of each vector of :meth:`class_features`, ``(M,)`` integers; M may be 0."""

    def pixels(self, name: ImageName) -> Tensor:
        """Images in [-1, 1], ``(N, 3, h, w)``, at the purifier's working size."""

    def features(self, name: ImageName) -> Tensor:
        """What the target model makes of the images, ``(N, ...)``."""

    def class_features(self, name: ImageName) -> Tensor:
        """Feature vectors that carry a class label, ``(M, L)``: of images, pixels or boxes."""

    def discriminate(self, name: ImageName) -> list[list[Tensor]]:
        """Discriminator outputs by scale and layer, logits last; gradients reach the images, not the discriminator."""

    def discriminate_detached(self, name: ImageName) -> list[list[Tensor]]:
        """The same for detached images; gradients reach the discriminator's parameters."""


def check_image_name(argument: str, name: str) -> None:
    """Raise a ``ValueError`` that lists the allowed names if ``name`` is none of them."""
    if name not in get_args(ImageName):
        raise UsageError(f'{argument}={name!r} is no image of a batch; use one of {", ".join(get_args(ImageName))}')


def image_names(argument: str, names: ImageName | Sequence[ImageName]) -> tuple[ImageName, ...]:
    """One name or several as a tuple; a ``ValueError`` if one is unknown, there twice, or there is none."""
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        check_image_name(argument, name)
    if not names or len(set(names)) < len(names):
        raise UsageError(f'{argument} names one or more images, each once, not {list(names)}')
    return names


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
        """Weighted scalar losses by name, all starting with ``loss_``; those of weight 0 are not computed."""
        raise NotImplementedError


class Half(NamedTuple):
    """The clean or the adversarial half of a guided loss."""

    name: str
    purified: ImageName
    guide: ImageName
    weight: float


class GuidedLoss(PurifierLoss):
    """Pulls each purified half of a batch to its guide.

    Subclasses give :attr:`name` and :meth:`read`, and a ``forward(purified, guide)``.

    Args:
        clean_guide: what purified clean images are compared with.
        adv_guide: what purified adversarial images are compared with.
        clean_weight: weight of the clean half.
        adv_weight: weight of the adversarial half.
        loss_weight: weight of both.
        detach_guide: whether no gradient flows into a guide that has been purified too.

    Raises:
        ValueError: if a guide is no :data:`ImageName`.
    """

    name: ClassVar[str]

    def __init__(
        self,
        clean_guide: ImageName,
        adv_guide: ImageName,
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
        """What of the batch is compared."""
        raise NotImplementedError

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        return {
            f'loss_{self.name}_{half.name}': half.weight
            * self(self.read(batch, half.purified), self.read(batch, half.guide))
            for half in self.halves
        }
