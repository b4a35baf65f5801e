"""What a model is shown under input diversity, beside ``F.interpolate`` and ``F.pad``."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import DIFGSM, AttackSource, Randomness
from mmadvdefense.attacks.gradient.diversity import InputDiversity
from mmadvdefense.pixels import stack, unstack


def make_batch(images, seeds, dense=False):
    stacked, layout = stack(images)
    source = SimpleNamespace(task=SimpleNamespace(dense=dense))
    return stacked, SimpleNamespace(layout=layout, source=source, randomness=Randomness(seeds))


def shown(images, seeds, dense=False, **settings):
    stacked, batch = make_batch(images, seeds, dense)
    return InputDiversity(**settings)(stacked, batch), batch.layout


def draws_of(seed):
    return Randomness([seed]).uniform_like(torch.zeros(1, 4))[0].tolist()


def resized_size(image, scale):
    return [max(1, round(side * scale)) for side in image.shape[-2:]]


def by_hand(image, seed, smallest, largest):
    """One image resized and put into, or cut to, a frame of its own size."""
    _, scale, *place = draws_of(seed)
    size = resized_size(image, smallest + (largest - smallest) * scale)
    resized = F.interpolate(image[None], size, mode='bilinear', align_corners=False)[0]
    for axis, (side, new, where) in enumerate(zip(image.shape[-2:], size, place), 1):
        offset = int(where * (abs(side - new) + 1))
        if new > side:
            resized = resized.narrow(axis, offset, side)
        else:
            padding = [0, 0, offset, side - new - offset] if axis == 1 else [offset, side - new - offset]
            resized = F.pad(resized, padding)
    return resized


@pytest.mark.parametrize('scales', [(0.5, 1.0), (0.9, 1.0), (1.0, 1.6), (0.6, 1.4), (1.0, 1.0)])
def test_a_classifier_is_shown_a_resized_image_on_a_frame(scales, make_images):
    images = [make_images(3, 20, 17, seed=seed) for seed in range(12)]
    seeds = list(range(100, 112))
    result, _ = shown(torch.stack(images), seeds, probability=1.0, scales=scales)
    for image, seed, actual in zip(images, seeds, result):
        torch.testing.assert_close(actual, by_hand(image, seed, *scales), rtol=1e-5, atol=2e-3)
    # Not all alike: sizes and places differ.
    if scales != (1.0, 1.0):
        assert len({round(draws_of(seed)[1], 3) for seed in seeds}) == 12


@pytest.mark.parametrize('shape', [(20, 17), (16, 16)])
def test_only_chosen_images_are_resized_and_all_have_their_gradient(shape, make_images):
    images, seeds = make_images(6, 3, *shape).requires_grad_(), list(range(6))
    result, _ = shown(images, seeds, probability=0.5, scales=(0.5, 1.5))
    alone = [shown(image[None], [seed], probability=0.5, scales=(0.5, 1.5))[0] for image, seed in zip(images, seeds)]
    chosen = [draws_of(seed)[0] < 0.5 for seed in seeds]
    assert [not torch.equal(*pair) for pair in zip(result, images)] == chosen and 0 < sum(chosen) < 6
    torch.testing.assert_close(result, torch.cat(alone))
    (gradient,) = torch.autograd.grad(result.square().sum(), images)
    torch.testing.assert_close(gradient, torch.autograd.grad(torch.cat(alone).square().sum(), images)[0])


@pytest.mark.parametrize('scales', [(0.5, 1.0), (0.8, 1.3)])
def test_in_a_dense_task_every_pixel_stays_in_its_place(scales, make_images):
    images, seeds = [make_images(3, 20, 17, seed=seed) for seed in range(6)], list(range(6))
    result, _ = shown(torch.stack(images), seeds, dense=True, probability=1.0, scales=scales)
    for image, seed, actual in zip(images, seeds, result):
        size = resized_size(image, scales[0] + (scales[1] - scales[0]) * draws_of(seed)[1])
        small = F.interpolate(image[None], size, mode='bilinear', align_corners=False)
        expected = F.interpolate(small, image.shape[-2:], mode='bilinear', align_corners=False)[0]
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=2e-3)
    # A ramp is its own picture: nothing has moved.
    ramp = torch.linspace(0, 255, 40).expand(1, 3, 30, 40)
    kept, _ = shown(ramp, [3], dense=True, probability=1.0, scales=(0.7, 0.9))
    assert (kept - ramp).abs()[..., 2:-2].max() < 1e-3
    moved, _ = shown(ramp, [3], probability=1.0, scales=(0.7, 0.9))
    assert (moved - ramp).abs()[..., 2:-2].mean() > 5


def test_probability_is_that_of_each_image(make_images):
    images, seeds = make_images(400, 3, 6, 6), list(range(400))
    result, _ = shown(images, seeds, probability=0.3, scales=(0.5, 0.8))
    resized = (result != images).flatten(1).any(1)
    assert resized.tolist() == [draws_of(seed)[0] < 0.3 for seed in seeds]
    # 120 expected; 5 standard deviations are 46.
    assert abs(int(resized.sum()) - 120) < 46


@pytest.mark.parametrize('dense', [False, True])
def test_images_of_different_sizes(dense, make_images):
    images = [make_images(3, *size, seed=i) for i, size in enumerate([(12, 10), (5, 14), (4, 4), (9, 9), (1, 7)])]
    settings = dict(dense=dense, probability=1.0, scales=(0.5, 1.5))
    together, layout = shown(images, list(range(5)), **settings)
    mask = torch.zeros_like(together)
    for index, (image, part) in enumerate(zip(images, unstack(together, layout))):
        alone, _ = shown([image], [index], **settings)
        torch.testing.assert_close(part, alone[0], rtol=1e-5, atol=1e-3)
        mask[index, :, : image.shape[-2], : image.shape[-1]] = 1
    assert together[mask == 0].eq(0).all()


def test_gradients_flow_to_the_pixels_that_were_shown(make_images):
    images, batch = make_batch(make_images(2, 3, 8, 8), [0, 1])
    images.requires_grad_()
    torch.autograd.gradcheck(
        lambda x: InputDiversity(1.0, (0.6, 0.6))(x, make_batch(x.detach(), [0, 1])[1]),
        images.detach().double().requires_grad_(),
    )
    result = InputDiversity(1.0, (1.0, 1.0))(images, batch)
    assert torch.equal(result, images)
    assert torch.equal(torch.autograd.grad(result.sum(), images)[0], torch.ones_like(images))


def test_each_step_draws_anew(tiny_classifier, image_batch, monkeypatch):
    seen = []
    inner = InputDiversity.__call__

    def record(self, images, batch):
        result = inner(self, images, batch)
        # Black frames: where the image lies.
        seen.append((result.abs().sum(1) > 0).flatten(1))
        return result

    monkeypatch.setattr(InputDiversity, '__call__', record)
    attack = DIFGSM(8, 2, 6, diversity=1.0, diversity_scales=(0.3, 0.9))
    attack(AttackSource(tiny_classifier), image_batch.images, image_batch.samples, Randomness(list(range(6))))
    assert len(seen) == 6
    assert sum(torch.equal(seen[0], other) for other in seen[1:]) == 0
