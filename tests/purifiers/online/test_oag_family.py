"""What all purifiers have in common that fit a network to each image, beside what test_every_purifier.py is about."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console

from mmadvdefense.purifiers import OnlinePurifier
from mmadvdefense.randomness import Randomness
from mmadvdefense.threats import build_source

for _host in ('mmpretrain', 'mmseg', 'mmdet'):
    pytest.importorskip(_host)

SIZES = [(16, 12), (9, 20), (16, 12), (5, 6)]
TABLE = {
    'oag': dict(type='OAGPurifier', num_steps=6, image_steps=3, network=dict(type='EnergyNetworks', num_filters=2)),
    'dip': dict(type='DIPPurifier', num_steps=6, network=dict(type='HourglassNetworks', widths=(4, 8))),
    'autoencoder': dict(
        type='OneStepAutoEncoderPurifier', num_steps=6, network=dict(type='ScalarAutoEncoders', num_filters=2)
    ),
}


@pytest.fixture(params=TABLE, name='settings')
def _settings(request) -> dict:
    return TABLE[request.param]


@pytest.fixture
def purifier(settings, build_purifier) -> OnlinePurifier:
    return build_purifier(settings)


@pytest.fixture
def images(make_images) -> list[torch.Tensor]:
    return [make_images(3, *size, seed=index) for index, size in enumerate(SIZES)]


def _seeds(*indices: int) -> Randomness:
    return Randomness([100 + index for index in indices])


# Pixels: kernels add in another order for another number of images, and steps of Adam make that grow.
ROUNDING = 2e-2

# What is cleaned -----------------------------------------------------------------------------------------------------


def test_no_image_depends_on_its_neighbours(purifier, make_images):
    images = make_images(16, 3, 12, 12)
    together = purifier.clean(images, _seeds(*range(16)))
    assert together.shape == images.shape and together.dtype == torch.float32
    assert 0 <= together.min() and together.max() <= 255
    for index in range(16):
        alone = purifier.clean(images[index : index + 1], _seeds(index))[0]
        assert (alone - together[index]).abs().max() < ROUNDING
        assert (together[index] - together[index - 1]).abs().max() > 1


def test_images_of_several_sizes(purifier, images):
    before = [image.clone() for image in images]
    together = purifier.clean(images, _seeds(0, 1, 2, 3))
    assert isinstance(together, list) and [image.shape for image in together] == [image.shape for image in images]
    for index, image in enumerate(images):
        assert (purifier.clean([image], _seeds(index))[0] - together[index]).abs().max() < ROUNDING
    assert all(map(torch.equal, images, before)), 'the input stays'


def test_trajectory_is_that_of_shorter_runs(settings, build_purifier, images):
    states = build_purifier(settings).trajectory(images, _seeds(0, 1, 2, 3), [1, 4, 6])
    for steps, state in zip([1, 4, 6], states):
        shorter = build_purifier({**settings, 'num_steps': steps})
        assert all(map(torch.equal, shorter.purify(images, _seeds(0, 1, 2, 3)), state))
    assert not torch.equal(states[0][0], states[1][0])


def test_snapshots_are_what_a_test_sees(purifier, make_images, make_samples):
    data = dict(inputs=make_images(2, 3, 8, 8).to(torch.uint8), data_samples=make_samples(2))
    (last,) = purifier.snapshots(data, [purifier.num_steps])
    seen = []
    purifier.native.register_forward_pre_hook(lambda _, args: seen.append(args[0]['inputs']))
    purifier(data)
    assert torch.equal(last, seen[0])


@pytest.mark.parametrize('steps', [[], [0, 3], [3, 3], [5, 2]])
def test_steps_that_are_no_rising_numbers(purifier, make_images, steps):
    with pytest.raises(ValueError, match='ascending numbers >= 1'):
        purifier.trajectory(make_images(1, 3, 8, 8), _seeds(0), steps)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(num_steps=0), 'num_steps must be an integer >= 1, got 0'),
        (dict(learning_rate=0), 'learning_rate must be > 0, got 0'),
    ],
)
def test_settings_that_mean_nothing(settings, build_purifier, change, message):
    with pytest.raises(ValueError, match=f'{settings["type"]}: {message}'):
        build_purifier({**settings, **change})


# In a host -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('mode', [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_whatever_the_model_is_tested_under(purifier, make_images, mode):
    images = make_images(2, 3, 8, 8)
    expected = purifier.clean(images, _seeds(0, 1))
    with mode(), torch.autocast('cpu', dtype=torch.bfloat16):
        before = torch.is_grad_enabled()
        cleaned = purifier.clean(images, _seeds(0, 1))
        assert torch.is_grad_enabled() == before
    assert cleaned.dtype == torch.float32 and not cleaned.requires_grad
    assert torch.equal(cleaned, expected)


# Attackers who know of it --------------------------------------------------------------------------------------------


def test_threat_models(settings, make_classifier):
    model = make_classifier(type=settings['type'], **{k: v for k, v in settings.items() if k != 'type'}).eval()
    assert build_source(model, 'adaptive-bpda').defense is not None
    with pytest.raises(ValueError, match=f'{settings["type"]} has no gradient to follow; use adaptive-bpda'):
        build_source(model, 'adaptive')


# The bar -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('is_terminal', [False, True])
@pytest.mark.parametrize('progress', [False, True])
def test_progress(settings, build_purifier, make_images, monkeypatch, capfd, progress, is_terminal):
    """One line that goes when it is done, on a terminal alone: a test of thousands of images leaves none."""
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setattr('mmadvdefense.purifiers.online.base.Console', lambda: Console(force_terminal=is_terminal))
    purifier = build_purifier({**settings, 'progress': progress})
    purifier.purify(make_images(2, 3, 8, 8), _seeds(0, 1))
    written = capfd.readouterr().out
    assert (f'{settings["type"]}, 2 images' in written) == (progress and is_terminal)
    assert bool(written) == (progress and is_terminal)
