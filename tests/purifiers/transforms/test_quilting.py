"""Patch databases, the search in them, the cut between patches, and images made of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mmadvdefense.purifiers import PatchDatabase
from mmadvdefense.purifiers.transforms.patches import nearest
from mmadvdefense.purifiers.transforms.seams import boundary_cut, join
from mmadvdefense.randomness import Randomness


def _quilting(build_purifier, patches: torch.Tensor, order: str = 'bgr', **settings):
    database = PatchDatabase(patches.to(torch.uint8), order)
    return build_purifier(dict(type='QuiltingPurifier', patches=database, **settings))


# The database --------------------------------------------------------------------------------------------------------


def test_patches_are_parts_of_the_images(make_images):
    batches = [make_images(2, 3, 9, 7), [make_images(3, 6, 5, seed=9)]]
    database = PatchDatabase.draw(batches, 'rgb', per_image=4, patch_size=5, seed=2)
    assert database.patches.shape == (12, 3, 5, 5) and database.patches.dtype == torch.uint8
    images = [*batches[0], *batches[1]]
    for index, patch in enumerate(database.patches):
        windows = images[index // 4].unfold(1, 5, 1).unfold(2, 5, 1).permute(1, 2, 0, 3, 4)
        assert (windows == patch).flatten(2).all(2).any()
    assert torch.equal(database.patches, PatchDatabase.draw(batches, 'rgb', 4, 5, seed=2).patches)
    assert not torch.equal(database.patches, PatchDatabase.draw(batches, 'rgb', 4, 5, seed=3).patches)


def test_database_file(make_images, tmp_path, build_purifier):
    database = PatchDatabase.draw([make_images(2, 3, 9, 7)], 'bgr')
    database.save(tmp_path / 'patches.pth')
    loaded = PatchDatabase.load(tmp_path / 'patches.pth')
    assert torch.equal(loaded.patches, database.patches) and loaded.channel_order == 'bgr'
    torch.save({'state_dict': {}}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'other\.pth is not a patch database; .*tools/build_patches\.py'):
        PatchDatabase.load(tmp_path / 'other.pth')
    with pytest.raises(FileNotFoundError, match=r'patch database not found: .*nowhere\.pth'):
        build_purifier(dict(type='QuiltingPurifier', patches=str(tmp_path / 'nowhere.pth')))


def test_a_database_of_nothing(make_images):
    with pytest.raises(ValueError, match='an image of 4 x 9 pixels is too small for patches of 5 x 5'):
        PatchDatabase.draw([make_images(1, 3, 4, 9)], 'bgr')
    with pytest.raises(ValueError, match='needs images, but got none'):
        PatchDatabase.draw([], 'bgr')
    with pytest.raises(ValueError, match="channel_order must be 'bgr' or 'rgb'.*got 'hsv'"):
        PatchDatabase.draw([make_images(1, 3, 9, 9)], 'hsv')


@pytest.mark.parametrize('number', [1, 3, 40])
def test_nearest_by_brute_force(monkeypatch, number):
    """In several blocks, and with vectors that differ by less than a matrix product can tell."""
    monkeypatch.setattr('mmadvdefense.purifiers.transforms.patches.BLOCK', 100)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randint(256, (40, 75), generator=generator).float()
    vectors[20:] = vectors[:20]
    vectors[20:30, 0] += 1
    queries = vectors[torch.randint(40, (11,), generator=generator)] + torch.randint(2, (11, 75), generator=generator)
    distance = ((queries[:, None].double() - vectors[None].double()) ** 2).sum(-1).numpy()
    expected = np.argsort(distance, axis=1, kind='stable')[:, :number]
    np.testing.assert_array_equal(nearest(queries, vectors, number).numpy(), expected)


# Seams ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('width', [1, 2, 4])
def test_boundary_cut_is_the_cheapest_path(width):
    errors = torch.rand(6, 5, width, generator=torch.Generator().manual_seed(1))
    paths = [
        path
        for path in itertools.product(range(width), repeat=5)
        if all(abs(a - b) <= 1 for a, b in itertools.pairwise(path))
    ]
    for error, left in zip(errors, boundary_cut(errors)):
        cheapest = min(paths, key=lambda path: float(error[range(5), path].sum()))
        assert left.sum(1).tolist() == list(cheapest)
        assert torch.equal(left, left.sort(1, descending=True).values), 'left of the path without gaps'


def test_join_by_hand():
    """Two strips of one row that agree in the second of two shared columns: cut there."""
    strips = torch.tensor([[1.0, 2, 3, 4], [9.0, 4, 5, 6]]).view(2, 1, 1, 1, 4)
    assert join(strips, 2).flatten().tolist() == [1, 2, 3, 4, 5, 6]
    # ... in the first: the rest comes from the right strip.
    strips = torch.tensor([[1.0, 2, 3, 4], [3.0, 9, 5, 6]]).view(2, 1, 1, 1, 4)
    assert join(strips, 2).flatten().tolist() == [1, 2, 3, 9, 5, 6]
    assert join(strips, 0).flatten().tolist() == [1, 2, 3, 4, 3, 9, 5, 6]
    assert join(strips[:1], 2).flatten().tolist() == [1, 2, 3, 4]


# Images --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(13, 16), (14, 15), (5, 5), (3, 4)])
def test_an_image_of_patches_comes_back(build_purifier, make_images, size):
    """Every patch of the grid is in the database, the ones that stick out with the border repeated."""
    images = make_images(2, 3, *size)
    padded = torch.nn.functional.pad(images, (0, 8, 0, 8), mode='replicate')
    others = make_images(2, 3, 20, 20, seed=8).unfold(2, 5, 3).unfold(3, 5, 3)
    patches = [
        grid.permute(0, 2, 3, 1, 4, 5).flatten(0, 2) for grid in (others, padded.unfold(2, 5, 3).unfold(3, 5, 3))
    ]
    assert torch.equal(_quilting(build_purifier, torch.cat(patches)).clean(images), images)


def test_without_overlap_every_patch_is_the_nearest(build_purifier, make_images):
    patches = make_images(50, 3, 4, 4, seed=5)
    image = make_images(3, 8, 12)
    (cleaned,) = _quilting(build_purifier, patches, overlap=0).clean([image])
    for row, column in itertools.product((0, 4), (0, 4, 8)):
        window = (slice(None), slice(row, row + 4), slice(column, column + 4))
        distance = ((patches - image[window]) ** 2).flatten(1).sum(1)
        assert torch.equal(cleaned[window], patches[distance.argmin()])


def test_drawn_from_the_nearest(build_purifier, make_images):
    patches = make_images(50, 3, 4, 4, seed=5)
    image = make_images(3, 4, 4)
    cleaned = _quilting(build_purifier, patches, overlap=0, neighbours=3).clean(
        image.expand(60, -1, -1, -1), Randomness(list(range(60)))
    )
    order = ((patches - image) ** 2).flatten(1).sum(1).argsort()
    drawn = [int((patches == result).flatten(1).all(1).nonzero()) for result in cleaned]
    assert set(drawn) == set(order[:3].tolist())
    assert min(drawn.count(index) for index in set(drawn)) > 10


def test_overlapping_patches_are_joined_where_they_differ_least(build_purifier):
    """Dark and bright patches, whose shared column is dark in both and then bright in both."""
    patches = torch.zeros(2, 3, 4, 4)
    patches[0, ..., 3] = 100
    patches[1, ..., 1:] = 100
    image = torch.cat([patches[0, ..., :2], patches[1]], -1)
    (cleaned,) = _quilting(build_purifier, patches, overlap=2).clean([image])
    assert torch.equal(cleaned, image)
    assert set(cleaned.unique().tolist()) == {0, 100}, 'nothing is blended'


def test_channel_order(build_purifier, make_images):
    image = make_images(3, 5, 5)
    patches = torch.stack([image.flip(0), image])
    assert torch.equal(_quilting(build_purifier, patches[:1], 'rgb').clean([image])[0], image)
    assert torch.equal(_quilting(build_purifier, patches[:1], 'bgr').clean([image])[0], image.flip(0))
