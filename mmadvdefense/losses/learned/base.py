"""Terms that have something to learn: centers of classes, or a discriminator."""

from __future__ import annotations

from torch import Tensor

from ...errors import UsageError
from ..base import PurifierBatch, PurifierLoss


class LearnedLoss(PurifierLoss):
    """A term with parameters or buffers of its own, for an ``AdversarialTrainingHook``, which trains and saves them.

    Subclasses create them in :meth:`build`, when the model is known, and return their parts in :meth:`parts`.

    Args:
        loss_weight: as in :class:`PurifierLoss`.
        num_features: the length of the feature vectors; None if the hook is to find it out.
        lr_mult: multiplies the model's learning rate.
        ignore_index: label of vectors without a class.

    Attributes:
        num_classes: the number of classes; set by the hook.
        exclusive: whether a vector has one class; set by the hook.
    """

    # Layers that are read beside the term's own.
    other_layers: tuple[str, ...] = ()

    def __init__(
        self,
        loss_weight: float = 1.0,
        num_features: int | None = None,
        lr_mult: float = 1.0,
        ignore_index: int = -100,
    ) -> None:
        super().__init__(loss_weight)
        self.num_features = num_features
        self.num_classes: int | None = None
        self.exclusive: bool | None = None
        self.lr_mult = lr_mult
        self.ignore_index = ignore_index
        self._is_built = False

    def prepare(self) -> None:
        """Create what is learned, once ``num_features`` and ``num_classes`` are known.

        Raises:
            ValueError: if they are not, or if a vector may have several classes.
        """
        name = type(self).__name__
        if self.exclusive is False:
            raise UsageError(f'{name} needs one class per image, pixel or box, but this model decides on several')
        if not self.num_features or not self.num_classes:
            raise UsageError(f'{name} needs the length of its feature vectors: set num_features in its config')
        self.build(self.num_features, self.num_classes)
        self._is_built = True

    def build(self, num_features: int, num_classes: int) -> None:
        """Create parameters and buffers."""
        raise NotImplementedError

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        if not self.loss_weight:
            return {}
        if not self._is_built:
            raise UsageError(f'{type(self).__name__} has to learn, for which it needs an AdversarialTrainingHook')
        return {name: self.loss_weight * part for name, part in self.parts(batch).items()}

    def parts(self, batch: PurifierBatch) -> dict[str, Tensor]:
        """Unweighted scalar losses by name."""
        raise NotImplementedError
