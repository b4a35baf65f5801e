"""Which images are tested on, and that a missing one is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset, ConcatDataset

from mmadvdefense.evaluation.grid.image_selection import (
    choose_indices,
    compose_indices,
    inspect_images,
    open_test_set,
)


def test_spread_evenly():
    assert choose_indices(10, 3, None) == [0, 3, 6]
    assert choose_indices(10, None, None) == list(range(10))
    assert choose_indices(2000, 500, None)[::125] == [0, 500, 1000, 1500]
    assert choose_indices(10, None, [7, 2]) == [7, 2]


@pytest.mark.parametrize(
    ('num_images', 'indices', 'message'),
    [
        (0, None, r'num_images must be in 1-10, the size of the data set; got 0'),
        (11, None, r'got 11'),
        (3, [1], r'omit one'),
        (None, [3, 10], r'data set of 10 images: 10 is none'),
        (None, [-1], r'-1 is none'),
        (None, [3, 3], r'named once'),
        (None, [], r'at least one'),
    ],
)
def test_bad_choices(num_images, indices, message):
    with pytest.raises(ValueError, match=message):
        choose_indices(10, num_images, indices)


@pytest.fixture
def digits() -> BaseDataset:
    data = dict(type='HandwrittenDigits', split='test', indices=[5, 6, 7, 8], pipeline=[dict(type='PackInputs')])
    return open_test_set(Config(dict(default_scope='mmpretrain', test_dataloader=dict(dataset=data))))


def test_a_part_of_a_part(digits):
    assert len(digits) == 4
    assert compose_indices([5, 6, 7, 8], [0, 3], digits) == [5, 8]
    assert compose_indices(100, [0, 3], digits) == [0, 3]
    assert compose_indices(None, [0, 3], digits) == [0, 3]
    with pytest.raises(ValueError, match='counts from its end'):
        compose_indices(-100, [0], digits)
    with pytest.raises(ValueError, match='ConcatDataset is made of other data sets'):
        compose_indices(None, [0], ConcatDataset([digits]))


def test_the_digest_is_of_the_chosen_images(digits):
    digest = inspect_images(digits, [0, 1])
    assert digest == inspect_images(digits, [0, 1])
    assert (
        len({digest, inspect_images(digits, [0]), inspect_images(digits, [1, 0]), inspect_images(digits, [0, 2])}) == 4
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        for index in range(2):
            (tmp_path / name / f'{index}.png').write_bytes(b'x' * (index + 1))
    return tmp_path


def _open(folder: Path) -> BaseDataset:
    data = dict(type='CustomDataset', data_root=str(folder), pipeline=[])
    return open_test_set(Config(dict(default_scope='mmpretrain', test_dataloader=dict(dataset=data))))


def test_files(folder):
    pytest.importorskip('mmpretrain')
    dataset = _open(folder)
    digest = inspect_images(dataset, range(4))
    (folder / 'b' / '0.png').write_bytes(b'longer')
    assert inspect_images(dataset, range(4)) != digest
    (folder / 'b' / '0.png').unlink()
    assert inspect_images(dataset, [0, 1, 3]), 'those that are not asked for need not be there'
    with pytest.raises(FileNotFoundError, match=rf'{folder}/b/0.png is missing: image 2 of CustomDataset'):
        inspect_images(dataset, range(4))
