"""Natural corruptions: what the library makes of each image, and what is ours around it."""

from __future__ import annotations

import random
from importlib import metadata

import numpy as np
import pytest
import torch

from mmadvdefense.attacks import AttackSource, ImageNetC, build_attack
from mmadvdefense.attacks.external import corruptions
from mmadvdefense.attacks.external.corruptions import CORRUPTIONS
from mmadvdefense.errors import DependencyError

SIZE = (33, 47)
RANDOM = {
    'gaussian_noise', 'shot_noise', 'impulse_noise', 'glass_blur', 'motion_blur', 'snow', 'frost', 'fog',
    'elastic_transform',
}  # fmt: skip


@pytest.fixture
def library(monkeypatch):
    module = pytest.importorskip('imagecorruptions.corruptions')
    # As it is written: to compile it would take longer than all else here.
    shuffle = '_shuffle_pixels_njit_glass_blur'
    monkeypatch.setattr(module, shuffle, getattr(module, shuffle).py_func)


@pytest.fixture
def images():
    """Smooth but for one edge, and away from the ends of the range."""
    rows, columns = torch.meshgrid(*(torch.linspace(0, 1, side) for side in SIZE), indexing='ij')
    planes = [40 + 120 * rows, 60 + 100 * columns, 80 + 60 * (columns > 0.5)]
    image = torch.stack([plane.float() for plane in planes]).round()
    return torch.stack([image, image.flip(2)])


@pytest.fixture
def corrupt(tiny_classifier, images, make_samples, run_attack):
    def run(name='fog', severity=3, seeds=None, own=images, **source):
        config = dict(type='Corruption', corruption=name, severity=severity)
        return run_attack(config, AttackSource(tiny_classifier, **source), own, make_samples(len(own)), seeds)

    return run


@pytest.mark.usefixtures('library')
@pytest.mark.parametrize('name', CORRUPTIONS)
def test_each_corruption(name, corrupt, images):
    mild, severe = (corrupt(name, severity) for severity in (1, 5))
    for made in (mild, severe):
        assert made.shape == images.shape and made.dtype == torch.float32
        assert torch.equal(made, made.round()) and made.min() >= 0 and made.max() <= 255
    change = [(made - images).abs().mean() for made in (mild, severe)]
    # More fog takes more of the contrast, but not of the mean.
    assert 0 < change[0] and (change[0] < change[1] or name == 'fog')
    # An image depends on its seed alone, and only if something is drawn.
    assert torch.equal(corrupt(name, 1), mild)
    assert torch.equal(corrupt(name, 1, [1], images[1:])[0], mild[1])
    assert torch.equal(corrupt(name, 1, [7, 8]), mild) != (name in RANDOM)
    assert build_attack(dict(type='Corruption', corruption=name)).stochastic == (name in RANDOM)


@pytest.mark.usefixtures('library')
def test_contrast_by_hand(corrupt):
    """Severity 1 leaves 0.4 of the distance to the mean of the channel: 150 of 100 and 200."""
    image = torch.full((1, 3, 32, 32), 100.0)
    image[..., 16:] = 200
    made = corrupt('contrast', 1, own=image)
    # The library cuts off decimals.
    torch.testing.assert_close(made[0, :, 0, 0], torch.full((3,), 130.0), atol=1, rtol=0)
    torch.testing.assert_close(made[0, :, 0, 31], torch.full((3,), 170.0), atol=1, rtol=0)


@pytest.mark.usefixtures('library')
@pytest.mark.parametrize('name', ['brightness', 'snow', 'frost', 'jpeg_compression'])
def test_channels_are_in_the_order_of_the_images(name, corrupt, images):
    rgb = corrupt(name, channel_order='rgb')
    assert torch.equal(corrupt(name, own=images.flip(1), channel_order='bgr').flip(1), rgb)
    assert torch.equal(corrupt(name), rgb), 'arrays of unknown order usually are RGB'


@pytest.mark.usefixtures('library')
def test_leaves_the_random_state_as_it_was(corrupt):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    corrupt('gaussian_noise')
    corrupt('glass_blur')
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


@pytest.mark.usefixtures('library')
def test_images_of_different_sizes(corrupt, images):
    made = corrupt('frost', own=[images[0], images[1][:, :32, :40]])
    assert [image.shape for image in made] == [(3, *SIZE), (3, 32, 40)]
    assert torch.equal(made[0], corrupt('frost')[0])
    with pytest.raises(ValueError, match='at least 32 pixels a side, and there is one of 31x40'):
        corrupt('frost', own=[images[0], images[1][:, :31, :40]])


@pytest.mark.usefixtures('library')
def test_its_name_is_true():
    fog = build_attack(dict(type='Corruption', corruption='fog', severity=2))
    assert fog.describe() == 'Corruption (fog, severity 2)'
    assert fog.eps is None and not fog.adversarial and not fog.needs_labels
    assert ImageNetC(severity=(1, 5)).describe() == 'ImageNetC (severity 1, 5)'


@pytest.mark.usefixtures('library')
def test_the_set_stands_for_its_members(tiny_classifier, make_samples, images, run_attack):
    assert list(ImageNetC().members()) == list(CORRUPTIONS) and len(CORRUPTIONS) == 15
    several = ImageNetC(severity=[2, 4], corruptions=['fog', 'snow']).members()
    assert several == {
        f'{name} {severity}': dict(type='Corruption', corruption=name, severity=severity)
        for name in ('fog', 'snow')
        for severity in (2, 4)
    }
    with pytest.raises(ValueError, match='ImageNetC is a set of corruptions for tools/test.py'):
        run_attack(dict(type='ImageNetC'), AttackSource(tiny_classifier), images, make_samples(2))


@pytest.mark.usefixtures('library')
@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(type='Corruption', corruption='smog'), "unknown corruption 'smog'; did you mean fog"),
        (dict(type='Corruption', corruption='fog', severity=0), 'severity is an integer from 1 to 5, got 0'),
        (dict(type='Corruption', corruption='fog', severity=[1, 2]), r'from 1 to 5, got \[1, 2\]'),
        (dict(type='Corruption'), "missing 1 required positional argument: 'corruption'"),
        (dict(type='ImageNetC', severity=6), 'ImageNetC: severity is an integer from 1 to 5, got 6'),
        (dict(type='ImageNetC', severity=[]), 'ImageNetC needs a severity and a corruption'),
        (dict(type='ImageNetC', corruptions='smog'), "unknown corruption 'smog'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack(settings)


def test_without_the_library(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(corruptions.metadata, 'version', missing)
    for settings in (dict(type='Corruption', corruption='fog'), dict(type='ImageNetC')):
        with pytest.raises(DependencyError, match=r"imagecorruptions-imaug.*pip install 'mmadvdefense\[corruptions\]'"):
            build_attack(settings)
