"""Files of version 1, which were written by the code of that time, read by the code of today."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmadvdefense.digests import module_digest
from mmadvdefense.evaluation import Condition, Result, read_report
from mmadvdefense.evaluation.grid.correct_images import _stored
from mmadvdefense.evaluation.grid.plan import Cell
from mmadvdefense.evaluation.grid.run_folder import RunFolder
from mmadvdefense.evaluation.grid.versions import RESULTS_FORMAT, upgrade_report, upgrade_settings
from mmadvdefense.evaluation.report.grid_tables import markdown, terminal
from mmadvdefense.registry import MODELS
from mmadvdefense.threats import ThreatModel
from mmadvdefense.threats.former_words import current_settings, former_settings

OLD = Path(__file__).parents[2] / 'data' / 'version_1'
FORMER = re.compile(r'defence|all_or_nothing|white-box|adaptive-full|\bdraws\b|"right"|pixel_share')
DEEPFOOL = Condition('DeepFool', dict(type='DeepFool', eps=2, steps=2, success_threshold=0.9), 'gray-box')
CELLS = (
    Cell('none', DEEPFOOL, 'gray-box', None, '0e204993bf7a' + 52 * '0'),
    Cell(
        'resize',
        Condition('PGD', dict(type='PGD', eps=2, step_size=1, steps=2), dict(name='adaptive-eot', eot_samples=2)),
        'adaptive-eot, 2 EOT samples',
        None,
        '40056802f21b' + 52 * '0',
    ),
)


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    """A copy of a run folder of version 1, with an example image."""
    shutil.copytree(OLD, tmp_path / 'run')
    (tmp_path / 'run' / 'examples').mkdir()
    (old,) = (tmp_path / 'run' / 'cells').glob('white-box__*.json')
    np.savez(tmp_path / 'run' / 'examples' / f'{old.stem}.npz', **{'0/clean': np.zeros((3, 2, 2), np.uint8)})
    return RunFolder(tmp_path / 'run')


def _old(name: str) -> dict:
    return json.loads((OLD / name).read_text())


def test_a_report_in_the_words_of_today():
    old, new = _old('report.json'), read_report(OLD / 'report.json')
    assert new['version'] == 2 and not FORMER.search(json.dumps(new))
    assert upgrade_report(new) == new
    titles = ['gray-box', 'transfer from digits_target', 'adaptive', 'adaptive-eot, 2 EOT samples', 'query']
    assert list(new['threat_models']) == titles
    assert [about['name'] for about in new['threat_models'].values()] == [
        'gray-box', 'transfer', 'adaptive', 'adaptive-eot', 'query',
    ]  # fmt: skip
    assert new['attacks']['DeepFool']['config'] == DEEPFOOL.attack
    assert new['data']['selection'] == {'candidates': 500, 'correct': 50}
    assert new['defenses'] == old['defences']
    for row, before in zip(new['worst_case'], old['all_or_nothing'], strict=True):
        assert row['correct'] == before['right'] and row['defense'] == before['defence']
        assert row['threat_model'] in titles
    for row, before in zip(new['comparisons'], old['comparisons'], strict=True):
        assert row['defenses'] == before['defences'] and row['p'] == before['p']
    for cell, before in zip(new['cells'], old['cells'], strict=True):
        assert cell['metrics'] == before['metrics'] and cell['measured'] == before['measured']
        assert cell['defense'] == before['defence'] and cell['threat_model'] in ('clean', *titles)
        assert cell['scores'].get('correct') == before['scores'].get('right')
        threat = cell['condition']['threat_model']
        assert (threat is None) == (cell['threat_model'] == 'clean')
        if threat is not None:
            assert ThreatModel.parse(threat).title == cell['threat_model']
        assert list(cell)[2:] == list(Result.from_dict({k: cell[k] for k in list(cell)[2:]}).as_dict())
    assert 'gray-box' in markdown(new) and 'worst case' in terminal(new)


def test_results_of_one_model():
    old = {'format': RESULTS_FORMAT, 'version': 1, 'results': [json.loads(_cell_text('white-box'))['cell']]}
    new = upgrade_report(old)
    assert new['version'] == 2 and new['results'][0]['condition']['threat_model'] == {'name': 'gray-box'}


def _cell_text(prefix: str) -> str:
    (path,) = (OLD / 'cells').glob(f'{prefix}__*.json')
    return path.read_text()


def test_a_run_folder_is_continued(folder):
    """Its cells are found under the names and with the fingerprints that the code of today gives them."""
    settings = upgrade_settings(_old('run.json')['settings'])
    assert not FORMER.search(json.dumps(settings))
    folder.claim('grid.py', settings)
    for cell, prefix in zip(CELLS, ('white-box', 'adaptive-eot-2-draws')):
        result, before = folder.load(cell), json.loads(_cell_text(prefix))
        assert result is not None and result.condition == cell.condition
        assert result.metrics == before['cell']['metrics'] and result.samples['correct'] == before['samples']['right']
        assert result.scores['correct'] == before['cell']['scores']['right']
    assert folder.examples(CELLS[0]).exists()
    assert len(list(folder.path.glob('cells/*'))) == 2 and len(list(folder.path.glob('examples/*'))) == 1
    written = {path: path.read_bytes() for path in folder.path.rglob('*.json')}
    folder.claim('grid.py', settings)
    assert {path: path.read_bytes() for path in folder.path.rglob('*.json')} == written


def test_a_conversion_that_was_interrupted(folder, monkeypatch):
    from mmadvdefense.evaluation.grid import versions

    save, calls = versions.save_file_atomically, []

    def fail(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise OSError('disk full')
        save(*args, **kwargs)

    settings = upgrade_settings(_old('run.json')['settings'])
    monkeypatch.setattr(versions, 'save_file_atomically', fail)
    with pytest.raises(OSError, match='disk full'):
        folder.claim('grid.py', settings)
    monkeypatch.undo()
    folder.claim('grid.py', settings)
    assert all(folder.load(cell) is not None for cell in CELLS) and folder.examples(CELLS[0]).exists()


def test_a_run_folder_of_another_grid_stays_as_it_is(folder):
    settings = upgrade_settings(_old('run.json')['settings'])
    before = {path: path.read_bytes() for path in folder.path.rglob('*.json')}
    with pytest.raises(FileExistsError, match=r'differs in seed \(0 there, 1 here\)'):
        folder.claim('grid.py', {**settings, 'seed': 1})
    assert {path: path.read_bytes() for path in folder.path.rglob('*.json')} == before


def test_which_images_were_correct():
    old = _old('correct_images.json')
    assert _stored(OLD / 'correct_images.json', old['key']) == old['right']
    assert _stored(OLD / 'correct_images.json', 'another') is None


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"format": "a cake"}', "its format is 'a cake'"),
        (json.dumps({**_old('report.json'), 'version': 3}), 'up to 2'),
    ],
)
def test_what_is_not_a_report(tmp_path, text, message):
    path = tmp_path / 'report.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_report(path)


SMALL = dict(
    generator=dict(type='GlobalGenerator', base_channels=2, num_downsamples=1, num_blocks=1),
    discriminator=dict(type='MultiscaleDiscriminator', base_channels=2, num_layers=1, num_scales=1),
)


@pytest.mark.parametrize(
    'purifier, digest',
    [
        (dict(type='RandomResizePadPurifier'), '7bb63fb595424d2d50594e903638de3f4a038d878b1ea38659f17719fbcf9e3e'),
        (dict(type='AlignPurifier', **SMALL), '35e6d0746a2b762a38ed0e9acea6c73b8f8da3fbf464185de966271685a924d2'),
    ],
)
def test_cached_images_of_adaptive_attacks_are_found_again(purifier, digest):
    """The digest of the purifier is part of their names; these are of the code that wrote version 1."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build({**purifier, 'num_classes': 10})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    assert module_digest(model) == digest


def test_the_attack_that_has_another_name_today():
    bounded = dict(type='CarliniWagner', eps=8, step_size=2, steps=2)
    minimal = dict(type='CarliniWagner', steps=3)
    former = dict(type='WorstOf', attacks=[dict(type='EachTarget', attack=bounded), minimal])
    current = current_settings(former)
    assert current['attacks'][0]['attack'] == {**bounded, 'type': 'CarliniWagnerBounded'}
    assert current['attacks'][1] == minimal
    assert former_settings(current) == former
