"""Interface between a training step and the purifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Protocol

from torch import Tensor

from ...pixels import Pixels
from ...randomness import Randomness

# Key of the data batch that carries the step from the training hook to the purifier, and on to the target.
STEP = 'training_step'


@dataclass
class PurifiedImages:
    """One training batch as the generator sees it: ``(N, 3, h, w)`` in [-1, 1] at the working size, or at the original
    size if images take several tiles.

    There are no purified clean images if the generator is trained on adversarial ones only, and nothing adversarial if
    it is trained on clean images only. What a generative model makes from noise is in the place of purified clean
    images; one that gives likelihoods has those of the clean images, ``(N,)`` natural logarithms.
    """

    clean: Tensor
    adversarial: Optional[Tensor]
    purified_clean: Optional[Tensor]
    purified_adversarial: Optional[Tensor]
    log_likelihood: Optional[Tensor] = None


class PurifierStep(Protocol):
    """The part of a training step that a purifier uses.

    Attributes:
        clean: float pixels 0-255 on the purifier's device, already validated.
        adversarial: the same images after the attack, in the layout of ``clean``; None if the generator is trained on
            clean images only.
        purifies_clean: whether the generator runs on the clean images, too.
        randomness: random numbers of the batch, for generators that draw.
        images: the purifier's output; None until it has run.
    """

    clean: Pixels
    adversarial: Optional[Pixels]
    purifies_clean: bool
    randomness: Randomness
    images: Optional[PurifiedImages]
