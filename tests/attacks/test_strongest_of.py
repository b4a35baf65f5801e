"""Of several attacks on an image, the one with the largest loss is kept."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import AttackSource, Randomness, StrongestOf, build_attack

pytest.importorskip('mmpretrain')
WEAK = dict(type='FGSM', eps=1)
AGAINST = dict(type='BIM', eps=8, step_size=4, steps=2, objective='margin')


def losses(model, images, labels):
    model.eval()
    with torch.no_grad():
        inputs = model.data_preprocessor({'inputs': images})['inputs']
        return F.cross_entropy(model.head.fc(model.backbone(inputs)[-1].mean((2, 3))), labels, reduction='none')


def test_larger_loss_image_by_image(tiny_classifier, image_batch):
    """Of a random direction and a random start, each is the stronger one on some images."""
    images, samples, labels = image_batch.images, image_batch.samples, image_batch.labels
    source = AttackSource(tiny_classifier)
    parts = [dict(type='PGD', eps=8, step_size=0.01, steps=1), dict(type='PGD', eps=8, step_size=0.02, steps=1)]
    attack = StrongestOf(parts)
    result = attack.run(source, images, samples, Randomness(0))
    alone = [
        build_attack(part)(source, images, samples, Randomness(0).derive('attack', number))
        for number, part in enumerate(parts)
    ]
    values = torch.stack([losses(tiny_classifier, own, labels) for own in alone])
    best = values.argmax(0)
    assert 0 < best.sum() < len(best), 'or this would test nothing'
    for index, which in enumerate(best.tolist()):
        torch.testing.assert_close(result.images[index], alone[which][index])
    torch.testing.assert_close(losses(tiny_classifier, result.images, labels), values.amax(0))
    # One gradient each, one look at the loss and one at the decision.
    assert result.queries.tolist() == [6] * len(images)


def test_stronger_attack_is_found(tiny_classifier, image_batch):
    source = AttackSource(tiny_classifier)
    both = StrongestOf([WEAK, AGAINST], objective='cross_entropy')(
        source, image_batch.images, image_batch.samples, Randomness(0)
    )
    delta = (both - image_batch.images).abs().flatten(1).amax(1)
    assert (delta > 1).sum() >= 4 and delta.max() <= 8
    assert StrongestOf([WEAK, AGAINST]).eps == 8 and not StrongestOf([WEAK, AGAINST]).stochastic
    assert StrongestOf([WEAK, AGAINST]).scaled(0.5).eps == 4


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(attacks=[WEAK]), 'needs at least two, got 1'),
        (dict(attacks=[WEAK, dict(WEAK, norm='l2')]), 'must have one norm'),
        (dict(attacks=[WEAK, dict(WEAK, targeted='random')]), 'must have one targeted'),
        (dict(attacks=[WEAK, WEAK], objective='loss'), "unknown attack objective 'loss'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        StrongestOf(**settings)


def test_parts_that_do_not_fit(tiny_classifier, image_batch):
    attack = StrongestOf([dict(type='FGSM', eps=8, objective='cls'), dict(type='FGSM', eps=8, objective='loc')])
    with pytest.raises(ValueError, match="the losses of a classification model have no part 'cls'"):
        attack(AttackSource(tiny_classifier), image_batch.images, image_batch.samples, Randomness(0))
