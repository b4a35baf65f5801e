"""A purifier that adds its own noise, and weights that are for one noise alone."""

from __future__ import annotations

import pytest
import torch

from mmadvdefense.noise import add_gaussian_noise
from mmadvdefense.purifiers.trained.export import save_purifier_export
from mmadvdefense.randomness import Randomness

pytest.importorskip('mmpretrain')
SMALL = dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)


@pytest.fixture
def build(build_purifier):
    def build(kind: str = 'SmoothedPurifier', **settings):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            purifier = build_purifier(dict(type=kind, generator=SMALL, **settings))
        purifier.num_updates += 1
        return purifier

    return build


@pytest.fixture
def export(build, tmp_path):
    path = tmp_path / 'smoothed.pth'
    save_purifier_export(build(sigma=63.75).export(), path)
    return dict(type='Pretrained', checkpoint=str(path))


def test_it_is_noise_and_then_the_generator(build, make_images):
    images = make_images(2, 3, 12, 10)
    smoothed, plain = build(sigma=30), build('HGDPurifier')
    cleaned = smoothed.clean(images, Randomness([1, 2]))
    noisy = add_gaussian_noise(images, 30, Randomness([1, 2]))
    assert torch.equal(cleaned, plain.clean(noisy)) and not torch.equal(cleaned, plain.clean(images))


def test_no_noise_is_added_to_training_images(build, make_images):
    """The training attack has added it."""
    images = make_images(2, 3, 12, 10)
    assert torch.equal(build(sigma=30)._run(images)[2], build('HGDPurifier').clean(images))


def test_an_export_brings_its_sigma(build, build_purifier, export, make_images):
    loaded = build_purifier(dict(type='SmoothedPurifier', init_cfg=export))
    images = make_images(2, 3, 12, 10)
    assert loaded.sigma == 63.75
    assert torch.equal(loaded.clean(images), build(sigma=63.75).clean(images))
    assert build_purifier(dict(type='SmoothedPurifier', sigma=63.75, init_cfg=export)).sigma == 63.75
    with pytest.raises(ValueError, match=r'smoothed.pth was trained for sigma=63.75, not for sigma=30'):
        build_purifier(dict(type='SmoothedPurifier', sigma=30, init_cfg=export))


def test_an_export_that_never_saw_noise(build, build_purifier, tmp_path):
    path = tmp_path / 'align.pth'
    save_purifier_export(build('AlignPurifier').export(), path)
    with pytest.raises(ValueError, match='align.pth is not from a SmoothedPurifier'):
        build_purifier(dict(type='SmoothedPurifier', sigma=30, init_cfg=dict(type='Pretrained', checkpoint=str(path))))


def test_a_checkpoint_for_another_sigma(build):
    # 0.12 of images in 0-1 is no number in single precision.
    state = build(sigma=30.6).state_dict()
    build(sigma=30.6).load_state_dict(state)
    with pytest.raises(ValueError, match='the checkpoint was trained for sigma=30.6, not for sigma=63.75'):
        build(sigma=63.75).load_state_dict(state)
    with pytest.raises(ValueError, match='the checkpoint is not from a SmoothedPurifier'):
        build(sigma=30.6).load_state_dict(build('AlignPurifier').state_dict(), strict=False)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(sigma=0.25), 'SmoothedPurifier: sigma is in pixels .* 0.25 of images in 0-1, .* is sigma=63.75'),
        (dict(), 'SmoothedPurifier: sigma .* got None'),
        (dict(sigma=30, discriminator=dict(type='MultiscaleDiscriminator')), 'SmoothedPurifier has no discriminator'),
    ],
    ids=['unit', 'none', 'discriminator'],
)
def test_bad_settings(build, settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)
