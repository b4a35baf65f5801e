"""Patches that are moved, scaled, turned, and brighter or darker."""

import math

import pytest
import torch

from mmadvdefense.attacks.patch.placement import Boxes
from mmadvdefense.attacks.patch.poses import Pose, RandomPoses, paste


def boxes(*rows):
    """From (row, column, height, width)."""
    values = torch.tensor(rows, dtype=torch.float32)
    return Boxes(values[:, :2], values[:, 2:])


def pose(box, angle=0.0, brightness=1.0, move=(0, 0), scale=1.0):
    count = len(box.sides)
    return Pose(
        box.center + torch.tensor(move),
        box.sides * scale,
        torch.full((count,), angle),
        torch.full((count,), brightness),
    )


def test_in_its_own_place_it_is_as_it_was(make_images):
    images, clean = make_images(2, 3, 9, 12), make_images(2, 3, 9, 12, seed=2)
    box = boxes((2, 3, 4, 5), (0, 7, 5, 5))
    pasted = paste(images, box, Pose.upright(box), clean)
    expected = images.where(box.mask(9, 12), clean)
    torch.testing.assert_close(pasted, expected, rtol=0, atol=1e-2)
    assert torch.equal(pasted[~box.mask(9, 12).expand_as(pasted)], clean[~box.mask(9, 12).expand_as(clean)])


def test_moved(make_images):
    images, clean = make_images(1, 3, 9, 12), make_images(1, 3, 9, 12, seed=2)
    box = boxes((2, 3, 4, 5))
    pasted = paste(images, box, pose(box, move=(3, -2)), clean)
    expected = clean.clone()
    expected[..., 5:9, 1:6] = images[..., 2:6, 3:8]
    torch.testing.assert_close(pasted, expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize('quarters', [1, 2, 3])
def test_turned(quarters, make_images):
    images, clean = make_images(1, 3, 9, 9), make_images(1, 3, 9, 9, seed=2)
    box = boxes((1, 2, 5, 5))
    pasted = paste(images, box, pose(box, angle=quarters * math.pi / 2), clean)
    expected = clean.clone()
    # From the first axis to the second: rows turn into columns.
    expected[..., 1:6, 2:7] = images[..., 1:6, 2:7].rot90(quarters, (-2, -1))
    torch.testing.assert_close(pasted, expected, rtol=0, atol=2e-2)


def test_turned_by_an_eighth_it_is_a_diamond():
    images, clean = torch.full((1, 3, 15, 15), 200.0), torch.zeros(1, 3, 15, 15)
    box = boxes((4, 4, 7, 7))
    pasted = paste(images, box, pose(box, angle=math.pi / 4), clean)[0, 0]
    line = torch.arange(15) - 7.0
    inside = line[:, None].abs() + line.abs() <= 3.5 * math.sqrt(2)
    torch.testing.assert_close(pasted, 200.0 * inside)


def test_twice_as_large(make_images):
    """Nothing outside the box is mixed in: its border is repeated."""
    images, clean = make_images(1, 3, 8, 8), make_images(1, 3, 8, 8, seed=2)
    box = boxes((3, 3, 2, 2))
    pasted = paste(images, box, pose(box, scale=2.0), clean)
    expected = clean.clone()
    weights = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    expected[..., 2:6, 2:6] = weights @ images[..., 3:5, 3:5] @ weights.T
    torch.testing.assert_close(pasted, expected, rtol=0, atol=1e-2)


def test_brighter_and_darker():
    images, clean = torch.full((1, 3, 4, 4), 100.0), torch.full((1, 3, 4, 4), 7.0)
    images[:, 1] = 240
    box = boxes((1, 1, 2, 2))
    for factor, first, second in ((1.2, 120.0, 255.0), (0.5, 50.0, 120.0)):
        pasted = paste(images, box, pose(box, brightness=factor), clean)
        torch.testing.assert_close(pasted[0, :2, 1, 1], torch.tensor([first, second]))
        assert pasted[0, 0, 0, 0] == 7


def test_the_gradient_is_that_of_the_content_alone(make_images):
    """One pixel of the moved patch depends on one pixel of the box, and on nothing outside it."""
    images, box = make_images(1, 3, 8, 8).requires_grad_(), boxes((1, 1, 3, 3))
    pasted = paste(images, box, pose(box, move=(4, 3)), torch.zeros(1, 3, 8, 8))
    (gradient,) = torch.autograd.grad(pasted[0, 0, 6, 5], images, retain_graph=True)
    assert gradient[0, 0, 2, 2] == pytest.approx(1, abs=1e-4) and gradient.abs().sum() == pytest.approx(1, abs=1e-4)
    (gradient,) = torch.autograd.grad(pasted.sum(), images)
    assert gradient[~box.mask(8, 8).expand_as(gradient)].abs().max() < 1e-4


class Batch:
    def __init__(self, sizes, seeds):
        from mmadvdefense.attacks import Randomness
        from mmadvdefense.pixels import Layout

        self.layout, self.randomness = Layout(tuple(sizes), True), Randomness(seeds)

    def __len__(self):
        return len(self.layout.sizes)


def test_random_poses_stay_in_range_and_in_their_image():
    sizes = [(40, 60), (60, 30)] * 50
    box = boxes(*[(2, 3, 8, 8)] * 100)
    poses = RandomPoses('Patch', True, (0.5, 1.5), 30, 0.4)
    drawn = poses.draw(box, Batch(sizes, list(range(100))))
    assert drawn.sides.min() >= 4 and drawn.sides.max() <= 12 and drawn.sides.std() > 1
    assert torch.equal(drawn.sides[:, 0], drawn.sides[:, 1])
    assert drawn.angle.abs().max() <= math.radians(30) and drawn.angle.min() < -0.3 < 0.3 < drawn.angle.max()
    assert drawn.brightness.min() >= 0.6 and drawn.brightness.max() <= 1.4 and drawn.brightness.std() > 0.1
    extent = drawn.sides * (drawn.angle.cos() + drawn.angle.sin().abs())[:, None]
    assert (drawn.center >= extent / 2 - 1e-4).all()
    assert (drawn.center + extent / 2 <= torch.tensor(sizes) + 1e-4).all()
    assert drawn.center.std(0).min() > 5
    # Drawn anew each time, and for each image for itself.
    batch = Batch(sizes[3:4], [3])
    alone = [poses.draw(boxes((2, 3, 8, 8)), batch) for _ in range(2)]
    assert torch.equal(alone[0].center[0], drawn.center[3]) and not torch.equal(alone[0].center, alone[1].center)


def test_larger_than_the_image_it_is_cut_off():
    drawn = RandomPoses('Patch', True, (2.0, 2.0)).draw(boxes((0, 0, 8, 8)), Batch([(10, 10)], [0]))
    assert drawn.center.tolist() == [[8, 8]] and drawn.sides.tolist() == [[16, 16]]


def test_without_any_choice():
    poses, box = RandomPoses('Patch', False), boxes((2, 3, 8, 8))
    assert not poses.vary and RandomPoses('Patch', True).vary and RandomPoses('Patch', False, rotation=1).vary
    drawn = poses.draw(box, Batch([(40, 60)], [0]))
    assert torch.equal(drawn.center, box.center) and torch.equal(drawn.sides, box.sides)
    assert drawn.angle == 0 and drawn.brightness == 1


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(scales=(1.2, 0.8)), r'Patch: scales must be the smallest and the largest factor'),
        (dict(scales=(0, 1)), r'scales .* above 0'),
        (dict(rotation=200), r'rotation is the largest angle in degrees, from 0 to 180; got 200'),
        (dict(brightness=1), r'brightness is the largest relative change, in \[0, 1\); got 1'),
    ],
    ids=str,
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        RandomPoses('Patch', True, **settings)
