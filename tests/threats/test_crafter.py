"""What an adversarial image is found again by, and in which batches images are attacked."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Callable

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense import attacks
from mmadvdefense.attacks import AttackSource, GradientAttack, build_attack
from mmadvdefense.errors import UnsupportedAttackError, UsageError
from mmadvdefense.purifiers import Purifier
from mmadvdefense.threats import ThreatModel
from mmadvdefense.threats.cache import AdversarialCache, CachedImage
from mmadvdefense.threats.crafter import Crafter

pytest.importorskip('mmpretrain')

PGD = dict(type='PGD', eps=7.9, step_size=3, steps=2)


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """How many images each run of an attack was given."""
    counts = []
    original = GradientAttack.perturb
    monkeypatch.setattr(
        GradientAttack, 'perturb', lambda self, batch: counts.append(len(batch)) or original(self, batch)
    )
    return counts


def _purifier(**settings: Any) -> Purifier:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(type='AlignPurifier', mean=[120.0] * 3, std=[60.0] * 3, **settings))


@pytest.fixture
def craft(make_classifier, image_batch, tmp_path) -> Callable[..., list[Tensor]]:
    """Attack six images, with the cache in ``tmp_path``."""

    def run(
        attack: dict = PGD,
        images: Any = image_batch.images,
        samples: Any = image_batch.samples,
        prepare: Callable = lambda model: None,
        threat: Any = 'gray-box',
        purifier: Any = None,
        **settings: Any,
    ) -> list[Tensor]:
        model = make_classifier()
        prepare(model)
        crafter = Crafter(
            build_attack(attack),
            AttackSource(model),
            attack,
            ThreatModel.parse(threat),
            purifier,
            cache=AdversarialCache(tmp_path / 'cache'),
            **settings,
        )
        return list(crafter(images, samples, [sample.img_path for sample in samples])[0])

    return run


def _substitute(folder: Path, content: str, name: str = 'adaptive-bpda') -> dict:
    """A threat model whose file is looked at by its content alone."""
    path = folder / f'{content}.pth'
    path.write_text(content)
    return dict(name=name, substitute=str(path))


def test_whatever_an_image_depends_on_makes_another_one(craft, counted, image_batch, tmp_path, make_samples):
    def move_mean(model):
        model.data_preprocessor.mean += 3

    def move_weight(model):
        model.head.fc.weight.data[0, 0] += 1e-3

    def other_stride(model):
        model.backbone.stage1[0].dilation = (2, 2)

    flipped = image_batch.images.flip(3)
    relabelled = [sample.clone().set_gt_label(0) for sample in make_samples(6)]
    changes = [
        dict(),
        dict(attack={**PGD, 'eps': 6}),
        dict(attack={**PGD, 'targeted': 'least_likely'}),
        dict(seed=1),
        dict(quantize=True),
        dict(threat='adaptive-bpda'),
        dict(threat=_substitute(tmp_path, 'a')),
        dict(threat=_substitute(tmp_path, 'b')),
        # The same file, run forward too.
        dict(threat=_substitute(tmp_path, 'a', 'adaptive-substitute')),
        dict(threat=_substitute(tmp_path, 'b', 'adaptive-substitute')),
        dict(threat=dict(name='adaptive-eot', eot_samples=3)),
        dict(threat=dict(name='adaptive-eot', eot_samples=4)),
        dict(threat='adaptive', purifier=_purifier(jpeg_quality=90, to_rgb=True)),
        dict(threat='adaptive', purifier=_purifier(jpeg_quality=80, to_rgb=True)),
        dict(prepare=move_mean),
        dict(prepare=move_weight),
        dict(prepare=other_stride),
        dict(images=flipped),
    ]
    for change in changes:
        counted.clear()
        first = craft(**change)
        assert counted == [6], change
        again = craft(**change)
        assert counted == [6], change
        assert all(torch.equal(a, b) for a, b in zip(first, again))
    # Only the labels of some differ: those that were 0 are found.
    craft(samples=relabelled)
    assert counted[1:] == [6]
    assert len(list((tmp_path / 'cache').rglob('*.npz'))) == len(changes) * 6 + 4


def test_of_two_processes_one_makes_the_images(craft, monkeypatch, tmp_path):
    """The other waits for it and takes them."""
    original = GradientAttack.perturb

    def slow(self, batch):
        with open(tmp_path / 'calls', 'a') as file:
            file.write(f'{len(batch)} ')
        # Longer than the other process takes to ask for the same images.
        time.sleep(0.3)
        return original(self, batch)

    monkeypatch.setattr(GradientAttack, 'perturb', slow)
    children = []
    for number in range(2):
        child = os.fork()
        if not child:
            torch.save(torch.stack(craft()), tmp_path / f'{number}.pt')
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert (tmp_path / 'calls').read_text() == '6 '
    assert torch.equal(*(torch.load(tmp_path / f'{number}.pt') for number in range(2)))


def test_images_of_a_former_revision_are_made_again(craft, counted, monkeypatch):
    craft()
    monkeypatch.setattr(attacks.PGD, 'revision', 2)
    craft()
    craft()
    assert counted == [6, 6]


def test_the_rise_is_kept(tmp_path):
    """Files of before have none."""
    cache, image = AdversarialCache(tmp_path), torch.zeros(3, 2, 2)
    cache.store('known', CachedImage(image, 3, rise=-0.5))
    cache.store('unknown', CachedImage(image, 3))
    assert cache.load('known').rise == -0.5 and cache.load('unknown').rise is None


def test_what_an_image_does_not_depend_on(craft, counted, image_batch):
    """Nor on its batch, nor on the state its model happens to be in."""
    craft()
    craft(prepare=lambda model: model.eval())
    craft(images=image_batch.images[2:4], samples=image_batch.samples[2:4])
    craft(images=list(image_batch.images))
    craft(attack=dict(reversed(PGD.items())))
    assert counted == [6]


@pytest.mark.parametrize(('raised', 'seen'), [(UsageError, UnsupportedAttackError), (ValueError, ValueError)])
def test_failures_are_told_apart_by_their_class(craft, monkeypatch, raised, seen):
    """What attack or task refuse is unsupported; what goes wrong, such as in a library, stays what it is."""

    def fail(self, batch):
        raise raised('not on this model')

    monkeypatch.setattr(GradientAttack, 'perturb', fail)
    with pytest.raises(ValueError, match='not on this model') as found:
        craft()
    assert found.type is seen


def test_sizes_are_attacked_one_after_the_other(craft, counted, image_batch):
    images = [image[:, : 12 if index % 3 else 8] for index, image in enumerate(image_batch.images)]
    made = craft(images=images)
    assert counted == [2, 4]
    assert [image.shape for image in made] == [image.shape for image in images]
    alone = [craft(images=[image], samples=[sample], seed=0)[0] for image, sample in zip(images, image_batch.samples)]
    assert counted == [2, 4] and all(torch.equal(a, b) for a, b in zip(made, alone))


def test_rounding_changes_nothing_outside_a_patch(craft, image_batch):
    """Resized images have fractions, which are not the attack's."""
    images = (image_batch.images + 0.25).clamp(0, 255)
    attack = dict(type='DPatch', area=0.2, steps=2)
    made = torch.stack(craft(attack, images, quantize=True))
    assert torch.equal(made[..., 4:, :], images[..., 4:, :]) and torch.equal(made[..., 4:], images[..., 4:])
    patch = made[..., :4, :4]
    assert torch.equal(patch, patch.round()) and (patch != images[..., :4, :4]).any(1).float().mean() > 0.9
