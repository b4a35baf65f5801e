"""The geometry of randomization, pixel by pixel."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.randomness import Randomness

CONFIG = dict(type='RandomResizePadPurifier')


@pytest.mark.parametrize('interpolation', ['bilinear', 'nearest'])
@pytest.mark.parametrize('size', [(32, 32), (17, 40)])
def test_equals_resizing_and_padding(build_purifier, make_images, interpolation, size):
    """Each image by itself, with sizes and places read off the zeros around it."""
    images = make_images(12, 3, *size).clamp(min=5)
    purifier = build_purifier(dict(CONFIG, min_scale=0.5, interpolation=interpolation))
    mode = 'nearest-exact' if interpolation == 'nearest' else 'bilinear'
    places = set()
    for image, cleaned in zip(images, purifier.clean(images, Randomness(list(range(12))))):
        rows, columns = (torch.where(cleaned.amax(sides) > 1)[0] for sides in ((0, 2), (0, 1)))
        top, left = int(rows[0]), int(columns[0])
        height, width = len(rows), len(columns)
        assert int(rows[-1]) == top + height - 1 and int(columns[-1]) == left + width - 1, 'one rectangle'
        differing = torch.ones(size, dtype=torch.bool)
        # Where a pixel lies exactly between two, either is nearest: the other one in the mirrored image.
        for sides in ((), (1,), (2,), (1, 2)):
            shrunk = F.interpolate(image.flip(sides)[None], (height, width), mode=mode)[0].flip(sides)
            expected = F.pad(shrunk, (left, size[1] - left - width, top, size[0] - top - height))
            differing &= ((cleaned - expected).abs() > 1e-2).any(0)
        assert not differing.any()
        assert abs(height / size[0] - width / size[1]) <= 0.5 / size[0] + 0.5 / size[1], 'one factor for both sides'
        places.add((height, top, left))
    assert len(places) > 8


def test_sizes_and_places_are_uniform(build_purifier):
    images = torch.ones(3000, 3, 10, 10)
    cleaned = build_purifier(dict(CONFIG, min_scale=0.8)).clean(images, Randomness(list(range(3000))))[:, 0]
    heights = cleaned.amax(2).sum(1).round().int()
    # A factor from 0.8 to 1 rounds to 8 and 10 half as often as to 9.
    counts = torch.bincount(heights, minlength=11)[8:]
    assert (counts / 3000 - torch.tensor([0.25, 0.5, 0.25])).abs().max() < 0.04
    tops = cleaned.amax(2).argmax(1)
    for height in (8, 9, 10):
        shares = torch.bincount(tops[heights == height], minlength=11 - height) / counts[height - 8]
        assert len(shares) == 11 - height and (shares - 1 / (11 - height)).abs().max() < 0.06


def test_no_shrinking_changes_nothing(build_purifier, make_images):
    images = make_images(3, 3, 9, 14)
    cleaned = build_purifier(dict(CONFIG, min_scale=1)).clean(images)
    assert torch.allclose(cleaned, images, atol=1e-3)


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet'])
def test_for_classifiers_alone(build_purifier, scope):
    pytest.importorskip(scope)
    with pytest.raises(ValueError, match='RandomResizePadPurifier moves the image content.*with classifiers only'):
        build_purifier(CONFIG, scope)
    nested = dict(type='PurifierChain', purifiers=[dict(type='PurifierChain', purifiers=[CONFIG])])
    with pytest.raises(ValueError, match='PurifierChain moves the image content'):
        build_purifier(nested, scope)
    build_purifier(nested)
