"""Adversarial images of a batch, each made once and taken from the cache from then on."""

from __future__ import annotations

import math
from functools import partial
from typing import Callable, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from ..attacks import Attack, AttackSource, Randomness, derive_seed
from ..attacks.balls import AREA
from ..attacks.objectives import HostLossObjective
from ..digests import file_digest, module_digest, value_digest
from ..errors import UnsupportedAttackError, UsageError
from ..pixels import PIXEL_MAX, Layout, Pixels, round_to_8bit, stack
from ..purifiers import Purifier
from ..version import __version__
from .attack_key import attack_key
from .cache import AdversarialCache, CachedImage
from .former_words import former_threat_model
from .threat_model import ThreatModel

# Version of what is stored with an image; images of another version are made again.
_FORMAT = 2


class Crafted(NamedTuple):
    """A batch of adversarial images.

    Attributes:
        images: in the layout of the clean ones.
        queries: ``(N,)``, how often the source was queried for each.
        nonfinite: ``(N,)``, of :class:`~mmadvdefense.attacks.AttackResult`.
        rise: ``(N,)``, of the same; NaN where it is unknown.
        source_scores: ``(S, N)``, of each source model on the clean images; None if they were not requested.
    """

    images: Pixels
    queries: Tensor
    nonfinite: Tensor
    rise: Tensor
    source_scores: Optional[Tensor] = None


class Crafter:
    """Attacks images in a way that does not depend on how they are batched, up to rounding.

    Images of different sizes are attacked size by size. If the objective is made of the host's own losses, which are
    normalised over the batch, images are attacked one by one. Of several processes that need the same batch at the same
    time, one makes it, and the others wait and take it from the cache.

    Args:
        attack: what to do to the images.
        source: what to run it on.
        config: of the attack, for the cache.
        threat: the threat model that the source was made for.
        purifier: the one that the attacker knows, if any.
        seed: of random starts and targets.
        quantize: round adversarial images to whole pixels.
        cache: where to keep images and to look for them; None to craft all of them.
    """

    def __init__(
        self,
        attack: Attack,
        source: AttackSource,
        config: dict,
        threat: ThreatModel,
        purifier: Optional[Purifier] = None,
        seed: int = 0,
        quantize: bool = False,
        cache: Optional[AdversarialCache] = None,
    ):
        self.attack = attack
        self.source = source
        self.seed = seed
        self.quantize = quantize
        self.cache = cache
        self._one_by_one = _uses_host_losses(attack)
        self._made_with = None
        if cache is not None:
            self._made_with = value_digest(
                __version__,
                _FORMAT,
                attack_key(config),
                # A substitute counts by its weights, whatever its file is called.
                [
                    former_threat_model(threat.name),
                    threat.eot_samples,
                    threat.substitute and file_digest(threat.substitute),
                ],
                module_digest(source.model, leave_out=('data_preprocessor',)),
                module_digest(source.preprocessor),
                source.swaps_channels,
                getattr(source, 'combine', None),
                purifier and module_digest(purifier),
                quantize,
            )

    def __call__(
        self,
        images: Pixels,
        samples: Sequence,
        identities: Sequence[str],
        score_sources: Optional[Callable[[], Tensor]] = None,
    ) -> Crafted:
        """Attack a batch.

        Args:
            images: clean float pixels 0-255 on the source's device.
            samples: the host's data samples, with their ground truth in the frame of the images.
            identities: one for each image, the same in whatever batch it comes.
            score_sources: returns the scores of the source models on the clean images, ``(S, N)``; called only if the
                cache does not have them.

        Raises:
            UnsupportedAttackError: if attack, task or model say that they do not go together. Any other exception is a
                failure of the attack itself, or of the library that runs it.
        """
        seeds = [derive_seed(self.seed, 'test', identity) for identity in identities]
        make = partial(self._complete, images, samples, seeds, score_sources)
        if self.cache is None:
            made = make([None] * len(seeds))
        else:
            keys = [self._key(image, sample, seed) for image, sample, seed in zip(images, samples, seeds)]
            made = self._cached(self.cache, keys, score_sources is not None, make)
        return _crafted(made, self.source.device, isinstance(images, Tensor), score_sources is not None)

    @staticmethod
    def _cached(
        cache: AdversarialCache,
        keys: Sequence[str],
        scored: bool,
        make: Callable[[Sequence[Optional[CachedImage]]], list[CachedImage]],
    ) -> list[CachedImage]:
        """The images with these keys, of which ``make`` makes those that are not in the cache yet."""
        found = [cache.load(key) for key in keys]
        if not _lacking(found, scored):
            return make(found)
        with cache.locked(keys):
            # Another process may have made them in the meantime.
            for index in _lacking(found, scored):
                found[index] = cache.load(keys[index])
            made = make(found)
            for key, item, before in zip(keys, made, found):
                if item is not before:
                    cache.store(key, item)
        return made

    def _key(self, image: Tensor, sample, seed: int) -> str:
        return value_digest(self._made_with, image, *self.source.task.ground_truth(sample), seed)

    def _complete(
        self,
        images: Pixels,
        samples: Sequence,
        seeds: Sequence[int],
        score_sources: Optional[Callable[[], Tensor]],
        found: Sequence[Optional[CachedImage]],
    ) -> list[CachedImage]:
        """What was found in the cache, with the rest made now."""
        made = {index: item for index, item in enumerate(found) if item is not None}
        for part in self._parts(images):
            if all(index in made for index in part):
                continue
            # All of it, not only what is missing: the number of images has an influence on rounding.
            crafted = self._craft(
                _at(images, part), [samples[index] for index in part], [seeds[index] for index in part]
            )
            for index, image, queries, nonfinite, rise in zip(part, *crafted):
                if index not in made:
                    known = float(rise) if rise.isfinite() else None
                    made[index] = CachedImage(image, int(queries), int(nonfinite), rise=known)
        complete = [made[index] for index in range(len(found))]
        if score_sources is not None and _lacking(complete, True):
            scores = [tuple(own) for own in score_sources().T.tolist()]
            complete = [item._replace(source_scores=own) for item, own in zip(complete, scores)]
        return complete

    def _parts(self, images: Pixels) -> list[list[int]]:
        """Positions of the images that are attacked together."""
        if self._one_by_one:
            return [[index] for index in range(len(images))]
        return list(Layout.of(images).groups().values())

    def _craft(self, images: Pixels, samples: list, seeds: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        device = self.source.device
        # Some hosts' losses draw from global state (sampled proposals, denoising queries).
        with torch.random.fork_rng(devices=[device] if device.type == 'cuda' else []):
            torch.manual_seed(derive_seed(*seeds))
            try:
                result = self.attack.run(self.source, images, samples, Randomness(seeds))
            except UsageError as error:
                raise UnsupportedAttackError(str(error)) from error
        adversarial = stack(result.images)[0].detach()
        adversarial = self._rounded(adversarial, stack(images)[0]) if self.quantize else adversarial
        return adversarial, result.queries, result.nonfinite, result.rise.cpu()

    def _rounded(self, adversarial: Tensor, clean: Tensor) -> Tensor:
        """Whole pixels, inside the ball in L-infinity or area; in L2, rounding may increase the norm."""
        rounded = round_to_8bit(adversarial)
        if self.attack.norm == AREA:
            # Where a resized image has fractions, rounding would change pixels that the attack left alone.
            return rounded.where(adversarial != clean, clean)
        if self.attack.norm != 'linf' or self.attack.eps is None:
            return rounded
        low, high = (clean - self.attack.eps).ceil(), (clean + self.attack.eps).floor()
        return torch.minimum(torch.maximum(rounded, low), high).clamp(0, PIXEL_MAX)


def _lacking(found: Sequence[Optional[CachedImage]], scored: bool) -> list[int]:
    """Positions of the images, or of their source scores, that have to be made."""
    return [index for index, item in enumerate(found) if item is None or (scored and item.source_scores is None)]


def _crafted(made: Sequence[CachedImage], device: torch.device, stacked: bool, scored: bool) -> Crafted:
    images = [item.image.to(device) for item in made]
    return Crafted(
        torch.stack(images) if stacked else images,
        torch.tensor([item.queries for item in made]),
        torch.tensor([item.nonfinite for item in made]),
        torch.tensor([math.nan if item.rise is None else item.rise for item in made], dtype=torch.float64),
        torch.tensor([item.source_scores for item in made], dtype=torch.float64).T if scored else None,
    )


def _uses_host_losses(attack: Attack) -> bool:
    parts = [getattr(attack, 'attack', None), *getattr(attack, 'attacks', ())]
    uses = isinstance(getattr(attack, 'objective', None), HostLossObjective)
    return uses or any(_uses_host_losses(part) for part in parts if isinstance(part, Attack))


def _at(images: Pixels, index: list[int]) -> Pixels:
    return images[index] if isinstance(images, Tensor) else [images[i] for i in index]
