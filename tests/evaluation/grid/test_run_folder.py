"""The folder of a run: whose it is, and that its cells come back as they were."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mmadvdefense.evaluation.grid.plan import Cell
from mmadvdefense.evaluation.grid.run_folder import RunFolder, first_difference
from mmadvdefense.evaluation.results import Condition

SETTINGS = {'seed': 0, 'attacks': {'PGD': {'eps': 8, 'steps': 10}}}


def _cell(fingerprint: str = 'a' * 64) -> Cell:
    return Cell('align', Condition('C&W / 2', dict(type='PGD'), 'gray-box'), 'transfer from resnet', None, fingerprint)


def test_differences():
    assert first_difference(SETTINGS, json.loads(json.dumps(SETTINGS))) is None
    other = {'seed': 0, 'attacks': {'PGD': {'eps': 4, 'steps': 20}}}
    assert first_difference(SETTINGS, other) == 'attacks.PGD.eps (8 there, 4 here)'
    assert first_difference(SETTINGS, {**SETTINGS, 'quantize': True}) == 'quantize (nothing there, True here)'
    assert first_difference({**SETTINGS, 'layers': []}, SETTINGS) == 'layers ([] there, nothing here)'
    long = first_difference({'a': 'x' * 100}, {'a': 1})
    assert long == f'a ({"x" * 37}... there, 1 here)'


def test_a_folder_of_another_configuration(tmp_path):
    folder = RunFolder(tmp_path / 'run')
    folder.claim('configs/a.py', SETTINGS)
    folder.claim('elsewhere/a.py', {**SETTINGS}), 'the same grid goes on, wherever its file lies'
    with pytest.raises(FileExistsError) as refused:
        RunFolder(tmp_path / 'run').claim('configs/b.py', {**SETTINGS, 'seed': 1})
    assert str(refused.value) == (
        f'{tmp_path}/run holds the report of another configuration (elsewhere/a.py), which differs in seed (0 there, '
        '1 here); choose another --work-dir, or continue there with --force'
    )
    folder.claim('configs/b.py', {**SETTINGS, 'seed': 1}, force=True)
    folder.claim('configs/b.py', {**SETTINGS, 'seed': 1})


def test_a_cell_comes_back(tmp_path, make_result):
    folder, cell = RunFolder(tmp_path), _cell()
    assert folder.load(cell) is None
    result = make_result('align', 'transfer', 'PGD', '1101')
    result.examples = {'0/clean': np.arange(12, dtype=np.uint8).reshape(3, 2, 2)}
    folder.save(cell, result, 1.5)
    again = folder.load(cell)
    assert again.as_dict() == result.as_dict()
    assert again.samples == {**result.samples, 'psnr': [None] * 4}, 'JSON knows no infinity'
    assert folder.load(_cell('b' * 64)) is None, 'another attack of this name'
    (written,) = tmp_path.glob('cells/*.json')
    assert json.loads(written.read_text())['seconds'] == 1.5
    with np.load(folder.examples(cell)) as examples:
        assert (examples['0/clean'] == result.examples['0/clean']).all()
    names = sorted(path.name for path in tmp_path.rglob('*') if path.is_file())
    assert names == ['transfer-from-resnet__C-W-2__align__aaaaaaaaaaaa.json', 'transfer-from-resnet__C-W-2__align__aaaaaaaaaaaa.npz']  # fmt: skip  # noqa: E501


def test_numbers_survive_exactly(tmp_path, make_result):
    folder, cell = RunFolder(tmp_path), _cell()
    result = make_result('align')
    result.measured['perturbation/l2_mean'] = math.pi / 3
    result.samples['score'][0] = 1 / 3
    folder.save(cell, result, 0)
    again = folder.load(cell)
    assert again.measured['perturbation/l2_mean'] == math.pi / 3 and again.samples['score'][0] == 1 / 3


def test_what_other_grids_left(tmp_path, make_result):
    folder, cell, other = RunFolder(tmp_path), _cell(), _cell('b' * 64)
    for each in (cell, other):
        result = make_result('align')
        result.examples = {'0/clean': np.zeros((3, 2, 2), np.uint8)}
        folder.save(each, result, 0)
    folder.remove_others([cell])
    assert folder.load(cell) is not None and folder.load(other) is None
    assert len(list(tmp_path.rglob('*.npz'))) == 1
