"""Noise of the budget's size: both signs, no model, and the same numbers in any batch."""

import pytest
import torch

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.threats import ThreatModel, UnsupportedAttackError


def run(model, images, samples, seeds, eps=16):
    attack = build_attack(dict(type='RandomSign', eps=eps))
    return attack.run(AttackSource(model), images, samples, Randomness(seeds))


def test_every_value_goes_up_or_down_by_eps(tiny_classifier, image_batch):
    seen = []
    tiny_classifier.backbone.register_forward_hook(lambda *_: seen.append(1))
    middle = image_batch.images.clamp(16, 239)
    result = run(tiny_classifier, middle, image_batch.samples, list(range(6)))
    change = result.images - middle
    assert change.abs().eq(16).all()
    # 2160 draws: three standard deviations of the share are 0.032.
    assert change.gt(0).float().mean().item() == pytest.approx(0.5, abs=0.032)
    assert not seen and result.queries.tolist() == [0] * 6


def test_the_range_of_pixels_cuts_it(tiny_classifier, image_batch):
    change = run(tiny_classifier, torch.zeros_like(image_batch.images), image_batch.samples, list(range(6))).images
    assert set(change.unique().tolist()) == {0, 16}


def test_an_image_does_not_depend_on_its_batch(tiny_classifier, image_batch):
    images = [image[:, : 12 - index, : 10 - index] for index, image in enumerate(image_batch.images)]
    together = run(tiny_classifier, images, image_batch.samples, list(range(6))).images
    for index, image in enumerate(images):
        alone = run(tiny_classifier, image[None], image_batch.samples[index : index + 1], [index]).images[0]
        assert torch.equal(alone, together[index])


def test_it_knows_nothing_and_needs_nothing():
    attack = build_attack(dict(type='RandomSign', eps=4))
    assert not attack.needs_labels and attack.describe() == 'RandomSign (L-inf 4)'
    for name in ('gray-box', 'query'):
        ThreatModel(name).check_attack(attack)
    with pytest.raises(UnsupportedAttackError, match='RandomSign uses no gradients; use gray-box'):
        ThreatModel('adaptive').check_attack(attack)
    with pytest.raises(ValueError, match='eps is a radius'):
        build_attack(dict(type='RandomSign', eps=None))


def test_it_may_be_the_weakest_of_a_list(tiny_classifier, image_batch):
    """What of HGD's appendix D a list of attacks begins with."""
    attacks = [dict(type='RandomSign', eps=2), dict(type='FGSM', eps=4)]
    both = build_attack(dict(type='FirstSuccess', attacks=attacks))
    assert both.access == 'gradients'
    found = both(AttackSource(tiny_classifier), image_batch.images, image_batch.samples, Randomness(list(range(6))))
    sizes = (found - image_batch.images).abs().amax((1, 2, 3))
    assert set(sizes.round().tolist()) <= {2, 4}
