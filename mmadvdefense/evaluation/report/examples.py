"""A few images in three states, clean, adversarial and purified, with the model's predictions."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Iterable, Iterator, Optional, Sequence

from mmengine.model import BaseModel
from torch import Tensor, nn

from ...attacks import Attack, AttackSource, Randomness
from ...errors import UsageError
from ...models import unwrap
from ...pixels import Pixels
from ...purifiers import Purifier, switched
from ...randomness import image_seeds

STATES = ('clean', 'adversarial', 'purified')


@dataclass
class Examples:
    """Images in three states, and what the protected model makes of them.

    Attributes:
        clean, adversarial, purified: ``(3, H, W)`` pixels 0-255 in the loaded channel order, one for each example;
            ``purified`` is the adversarial image behind the purifier.
        predictions: for each state the host's data samples with its predictions: without the purifier for ``clean``
            and ``adversarial``, with it for ``purified``.
    """

    clean: list[Tensor] = field(default_factory=list)
    adversarial: list[Tensor] = field(default_factory=list)
    purified: list[Tensor] = field(default_factory=list)
    predictions: dict[str, list] = field(default_factory=lambda: {state: [] for state in STATES})


def collect_examples(
    model: nn.Module,
    attack: Attack,
    batches: Iterable[dict],
    count: int = 8,
    source: Optional[AttackSource] = None,
    seed: int = 0,
) -> Examples:
    """Attack the first images of a data loader, purify them, and predict before and after.

    Args:
        model: a host model with a trained purifier; left as it was.
        attack: of :func:`mmadvdefense.attacks.build_attack`.
        batches: a test data loader; its samples are in the frame of the image.
        count: how many images at most.
        source: whose gradients are used; the model's own (gray-box on O) by default.
        seed: of the attack; the perturbations are those of ``AttackHook`` with this seed.

    Raises:
        UsageError: if the model has no purifier.
    """
    model = unwrap(model)
    if not isinstance(model.data_preprocessor, Purifier):
        raise UsageError(f'{type(model).__name__} has no purifier whose effect could be shown')
    source = source or AttackSource(model)
    examples = Examples()
    with _testing(model):
        for batch in batches:
            left = count - len(examples.clean)
            if left <= 0:
                break
            samples = batch['data_samples'][:left]
            inputs = batch['inputs'][:left]
            clean = model.data_preprocessor.load_pixels(inputs)
            randomness = Randomness(image_seeds(seed, 'test', inputs, samples))
            adversarial = attack(source, clean, samples, randomness)
            for state, images, enabled in (
                ('clean', clean, False),
                ('adversarial', adversarial, False),
                ('purified', adversarial, True),
            ):
                with switched(model.data_preprocessor, enabled):
                    seen, predictions = _predict(model, images, samples)
                getattr(examples, state).extend(image.detach().float().cpu() for image in seen)
                examples.predictions[state].extend(predictions)
    return examples


@contextmanager
def _testing(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _predict(model: BaseModel, images: Pixels, samples: Sequence) -> tuple[Pixels, list]:
    """What the native preprocessor receives, and the predictions."""
    seen: list[Pixels] = []
    handle = model.data_preprocessor.native.register_forward_pre_hook(
        lambda module, args: seen.append(args[0]['inputs'])
    )
    try:
        # Copies, because native preprocessors change the samples.
        predictions = model.test_step({'inputs': images, 'data_samples': copy.deepcopy(list(samples))})
    finally:
        handle.remove()
    return seen[0], predictions


__all__ = ['Examples', 'collect_examples']
