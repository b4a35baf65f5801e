"""How large a patch is, and where."""

from types import SimpleNamespace

import pytest
import torch

from mmadvdefense.attacks import Randomness
from mmadvdefense.attacks.patch.placement import PLACES, Placement, random_corner
from mmadvdefense.pixels import Layout


class Batch(SimpleNamespace):
    """What a placement looks at."""

    def __len__(self):
        return len(self.layout.sizes)


def boxes_of(placement, sizes, seeds=None):
    """In images padded to the largest."""
    height, width = (max(sides) for sides in zip(*sizes))
    batch = Batch(
        layout=Layout(tuple(sizes), is_list=True),
        clean=torch.zeros(len(sizes), 3, height, width),
        randomness=Randomness(list(range(len(sizes)) if seeds is None else seeds)),
    )
    return placement.boxes(batch)


@pytest.mark.parametrize(
    'area, shape, size, sides',
    [
        (0.05, 'square', (32, 32), (7, 7)),  # sqrt(51.2) = 7.2
        (0.04, 'square', (100, 100), (20, 20)),
        (0.09, 'square', (10, 40), (6, 6)),
        (0.09, 'image', (10, 40), (3, 12)),
        (0.25, 'square', (480, 640), (277, 277)),
        (0.49, 'image', (10, 10), (7, 7)),
    ],
)
def test_sides_by_hand(area, shape, size, sides):
    found = Placement('Patch', area, shape=shape).sides([size])
    assert found.tolist() == [list(sides)]
    assert found.prod() <= area * size[0] * size[1]


@pytest.mark.parametrize(
    'place, corner',
    [
        ('top_left', (0, 0)),
        ('top_right', (0, 13)),
        ('bottom_left', (7, 0)),
        ('bottom_right', (7, 13)),
        ('center', (3, 6)),
        ((0.5, 1.0), (3, 13)),
    ],
)
def test_places_by_hand(place, corner):
    """A square of 3 pixels in an image of 10 x 16; the second image is larger and has one of 5."""
    boxes = boxes_of(Placement('Patch', 0.0625, place), [(10, 16), (20, 20)])
    assert boxes.sides.tolist() == [[3, 3], [5, 5]]
    assert boxes.corner[0].tolist() == list(corner)
    mask = boxes.mask(20, 20)
    assert mask.shape == (2, 1, 20, 20) and mask.flatten(1).sum(1).tolist() == [9, 25]
    rows, columns = mask[0, 0].nonzero().T
    assert (rows.min(), columns.min()) == corner and (rows.max(), columns.max()) == (corner[0] + 2, corner[1] + 2)
    assert set(PLACES) == {'top_left', 'top_right', 'bottom_left', 'bottom_right', 'center'}


def test_random_places_are_inside_each_image_and_its_own():
    sizes = [(8, 20), (20, 8), (9, 9), (20, 20)] * 20
    placement = Placement('Patch', 0.1)
    boxes = boxes_of(placement, sizes)
    assert (boxes.corner >= 0).all() and (boxes.corner == boxes.corner.floor()).all()
    assert (boxes.corner + boxes.sides <= torch.tensor(sizes)).all()
    assert len({tuple(corner) for corner in boxes.corner.tolist()}) > 40
    again, other = boxes_of(placement, sizes), boxes_of(placement, sizes, range(80, 160))
    assert torch.equal(boxes.corner, again.corner) and not torch.equal(boxes.corner, other.corner)
    # Neither the batch nor what was drawn before has an influence.
    alone = boxes_of(placement, sizes[3:4], [3])
    assert torch.equal(alone.corner[0], boxes.corner[3])


def test_all_corners_are_equally_likely():
    draws = (torch.arange(4000) + 0.5) / 4000
    assert torch.bincount(random_corner(draws, torch.tensor(3.7)).long()).tolist() == [1000] * 4
    assert random_corner(torch.tensor(1.0), torch.tensor(3.0)) == 3


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(area=0), r'Patch: area is the share of the image that the patch covers, in \(0, 1\); got 0'),
        (dict(area=1), r'area .* got 1'),
        (dict(area=5), r'area .* got 5'),
        (dict(area=float('nan')), r'area .* got nan'),
        (dict(place='middle'), r"unknown place 'middle'; known: random, top_left, top_right"),
        (dict(place=(0.5, 2)), r'place must be a name, or two shares in \[0, 1\]'),
        (dict(place=(0.5,)), r'place must be a name, or two shares'),
        (dict(shape='round'), r"shape must be 'square' or 'image', got 'round'"),
    ],
    ids=str,
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Placement('Patch', **{'area': 0.1, **settings})


def test_images_that_it_does_not_fit_into():
    """The first such image is named by its size."""
    with pytest.raises(ValueError, match=r'Patch: a patch of 50 % .* an image of 8x80: a square .* 17 pixels.*image'):
        Placement('Patch', 0.5).sides([(20, 20), (8, 80)])
    assert Placement('Patch', 0.5, shape='image').sides([(8, 80)]).tolist() == [[5, 56]]
    with pytest.raises(ValueError, match=r'a patch of 0\.1 % .* 10x10: this is less than one pixel; use a larger area'):
        Placement('Patch', 0.001).sides([(10, 10)])
