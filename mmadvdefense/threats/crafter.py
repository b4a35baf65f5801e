"""Adversarial images of a batch, each made once and from then on taken from the cache."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from ..attacks import Attack, AttackSource, Randomness, derive_seed
from ..attacks.objectives import HostLossObjective
from ..digests import file_digest, module_digest, plain_settings, value_digest
from ..former_words import former_settings, former_threat_model
from ..pixels import PIXEL_MAX, Pixels, round_to_8bit, stack
from ..purifiers import Purifier
from ..version import __version__
from .cache import AdversarialCache, CachedImage
from .threat_model import ThreatModel, UnsupportedAttackError

# What is noted of an image; images of another format are made again.
_FORMAT = 2


class Crafted(NamedTuple):
    """A batch of adversarial images.

    Attributes:
        images: in the layout of the clean ones.
        queries: ``(N,)``, how often the source was asked for each.
        nonfinite: ``(N,)``, of :class:`~mmadvdefense.attacks.AttackResult`.
        source_scores: ``(S, N)``, of each source model on the clean images; None where nobody asked.
    """

    images: Pixels
    queries: Tensor
    nonfinite: Tensor
    source_scores: Optional[Tensor] = None


class Crafter:
    """Attacks images in a way that does not depend on how they are put together in batches, up to rounding.

    Images of different sizes are attacked size by size, and with an objective made of the host's own losses, which are
    normalised over the batch, one by one.

    Args:
        attack: what to do to the images.
        source: what to run it on.
        config: of the attack, for the cache.
        threat: the threat model that the source was made for.
        purifier: which the attacker knows, if it knows one.
        seed: of random starts and targets.
        quantize: round adversarial images to whole pixels.
        cache: where to keep images and to look for them; None to craft all.
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
        self._one_by_one = _asks_host_losses(attack)
        self._made_with = None
        if cache is not None:
            self._made_with = value_digest(
                __version__,
                _FORMAT,
                former_settings(plain_settings(config)),
                # A substitute's weights are in its file, whatever that is called.
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
            identities: what tells an image from others whatever its batch.
            score_sources: gives the scores of the source models on the clean images, ``(S, N)``; asked only where they
                have not been noted before.

        Raises:
            UnsupportedAttackError: if this attack cannot be made on this model.
        """
        seeds = [derive_seed(self.seed, 'test', identity) for identity in identities]
        keys = [self._key(image, sample, seed) for image, sample, seed in zip(images, samples, seeds)]
        found: list[Optional[CachedImage]] = [key and self.cache.load(key) for key in keys]
        made = list(found)
        for part in self._parts(images):
            missing = [index for index in part if made[index] is None]
            if not missing:
                continue
            # The whole part, and not what is missing alone: another number of images would give other roundings.
            crafted = self._craft(
                _at(images, part), [samples[index] for index in part], [seeds[index] for index in part]
            )
            for index, image, queries, nonfinite in zip(part, *crafted):
                if made[index] is None:
                    made[index] = CachedImage(image, int(queries), int(nonfinite))
        if score_sources is not None and any(item.source_scores is None for item in made):
            scores = [tuple(own) for own in score_sources().T.tolist()]
            made = [item._replace(source_scores=own) for item, own in zip(made, scores)]
        for key, item, before in zip(keys, made, found):
            if key and item is not before:
                self.cache.store(key, item)
        return _crafted(made, self.source.device, isinstance(images, Tensor), score_sources is not None)

    def _key(self, image: Tensor, sample, seed: int) -> Optional[str]:
        if self.cache is None:
            return None
        return value_digest(self._made_with, image, *self.source.task.ground_truth(sample), seed)

    def _parts(self, images: Pixels) -> list[list[int]]:
        """Positions of the images that are attacked together."""
        if self._one_by_one:
            return [[index] for index in range(len(images))]
        sizes = [tuple(image.shape) for image in images]
        return [[index for index, other in enumerate(sizes) if other == size] for size in dict.fromkeys(sizes)]

    def _craft(self, images: Pixels, samples: list, seeds: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        device = self.source.device
        # Some hosts' losses draw from global state (sampled proposals, denoising queries).
        with torch.random.fork_rng(devices=[device] if device.type == 'cuda' else []):
            torch.manual_seed(derive_seed(*seeds))
            try:
                result = self.attack.run(self.source, images, samples, Randomness(seeds))
            except ValueError as error:
                if not _is_stated(error):
                    raise
                raise UnsupportedAttackError(str(error)) from error
        adversarial = stack(result.images)[0].detach()
        adversarial = self._rounded(adversarial, stack(images)[0]) if self.quantize else adversarial
        return adversarial, result.queries, result.nonfinite

    def _rounded(self, adversarial: Tensor, clean: Tensor) -> Tensor:
        """Whole pixels, which stay in an L-infinity ball; an L2 norm may grow by what rounding adds."""
        rounded = round_to_8bit(adversarial)
        if self.attack.norm != 'linf' or self.attack.eps is None:
            return rounded
        low, high = (clean - self.attack.eps).ceil(), (clean + self.attack.eps).floor()
        return torch.minimum(torch.maximum(rounded, low), high).clamp(0, PIXEL_MAX)


def _crafted(made: Sequence[CachedImage], device: torch.device, stacked: bool, scored: bool) -> Crafted:
    images = [item.image.to(device) for item in made]
    return Crafted(
        torch.stack(images) if stacked else images,
        torch.tensor([item.queries for item in made]),
        torch.tensor([item.nonfinite for item in made]),
        torch.tensor([item.source_scores for item in made], dtype=torch.float64).T if scored else None,
    )


def _asks_host_losses(attack: Attack) -> bool:
    parts = [getattr(attack, 'attack', None), *getattr(attack, 'attacks', ())]
    asks = isinstance(getattr(attack, 'objective', None), HostLossObjective)
    return asks or any(_asks_host_losses(part) for part in parts if isinstance(part, Attack))


def _at(images: Pixels, index: list[int]) -> Pixels:
    return images[index] if isinstance(images, Tensor) else [images[i] for i in index]


def _is_stated(error: ValueError) -> bool:
    """Whether an attack or a task itself said that it cannot do what it is asked for, and nothing went wrong below."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return Path(last.filename).is_relative_to(_PACKAGE / 'attacks') or Path(last.filename).is_relative_to(
        _PACKAGE / 'tasks'
    )


_PACKAGE = Path(__file__).parents[1]
