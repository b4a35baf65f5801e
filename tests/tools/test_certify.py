"""From one line in a config to a certificate."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = [
    '{root}/configs/_base_/models/digits_target.py',
    '{root}/configs/_base_/datasets/digits.py',
    '{root}/configs/_base_/default_runtime.py',
]
load_from = '{checkpoint}'
log_level = 'WARNING'
data_preprocessor = dict(
    type='SmoothedPurifier', sigma=40.0,
    generator=dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,)))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=100)
val_cfg = dict()
test_cfg = dict()
train_dataloader = dict(batch_size=8, num_workers=0, dataset=dict(indices=8))
val_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=4))
test_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=8))
"""
FEW = ('--n', 60, '--n0', 10, '--images', 4)


@pytest.fixture
def smoothed(tmp_path, target_checkpoint) -> Path:
    path = tmp_path / 'smoothed.py'
    path.write_text(CONFIG.format(root=ROOT, checkpoint=target_checkpoint))
    return path


def rows(folder: str, name: str = 'purifier') -> list[dict]:
    lines = Path(folder, f'{name}.jsonl').read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != 'seconds'} for line in lines]


def test_from_one_line_to_a_certificate(smoothed, run_tool, tmp_path, target_checkpoint):
    trained = run_tool('train', smoothed, '--work-dir', 'trained')
    assert trained.code == 0, trained.err
    checkpoint = 'trained/epoch_1.pth'

    done = run_tool('certify', smoothed, checkpoint, *FEW, '--baseline', '--out', 'both')
    assert done.code == 0, done.err
    assert re.search(r'0\.125 +\| 31\.875', done.out) and 'no purifier: 4 images, abstains on' in done.out
    report = json.loads(Path('both/report.json').read_text())
    assert list(report['results']) == ['SmoothedPurifier', 'no purifier'] and report['sigma'] == 40
    assert all(Path('both', name).exists() for name in ('images.csv', 'curve.csv', 'curve.svg', 'report.html'))

    noisy = run_tool('test', smoothed, checkpoint, '--attack', 'GaussianNoise', '--out', 'noisy.json')
    assert noisy.code == 0, noisy.err
    rows_of_test = json.loads(Path('noisy.json').read_text())['results']
    assert [row['purifier'] for row in rows_of_test] == [False, True, False, True]
    # 32 x 32 x 3 values with a standard deviation of 63.75 would be 3533; clipping takes a part of it.
    assert 1500 < rows_of_test[2]['measured']['perturbation/l2_mean'] < 3533

    attacked = run_tool('certify', smoothed, checkpoint, *FEW, '--attack-inside', 1, '--out', 'both')
    assert attacked.code == 0, attacked.err
    if any(row['predicted'] == row['label'] for row in rows('both')):
        assert 'gradients over 8 draws of the noise) changes 0 of 1 predictions' in attacked.out

    # Stopped after two images, reported on, and started again.
    whole = rows('both')
    Path('part').mkdir()
    Path('part/run.json').write_text(Path('both/run.json').read_text())
    Path('part/purifier.jsonl').write_text('\n'.join(Path('both/purifier.jsonl').read_text().splitlines()[:2]) + '\n')
    partial = run_tool('certify', smoothed, checkpoint, *FEW, '--out', 'part', '--report-only')
    assert partial.code == 0 and json.loads(Path('part/report.json').read_text())['complete'] is False
    assert run_tool('certify', smoothed, checkpoint, *FEW, '--out', 'part').code == 0
    assert rows('part') == whole and not Path('part/no_purifier.jsonl').exists()
    mixed = run_tool('certify', smoothed, checkpoint, *FEW, '--alpha', 0.01, '--out', 'part')
    assert 'differs in alpha (0.001 there, 0.01 here)' in mixed.error

    # The generator alone, in front of the target's own checkpoint, is the same model.
    exported = run_tool('export_purifier', smoothed, checkpoint, 'smoothed.pth')
    assert exported.code == 0, exported.err
    child = smoothed.with_name('exported.py')
    child.write_text(
        "_base_ = './smoothed.py'\n"
        "data_preprocessor = dict(init_cfg=dict(type='Pretrained', checkpoint='smoothed.pth'))\n"
    )
    again = run_tool('certify', child, *FEW, '--out', 'exported')
    assert again.code == 0, again.err
    assert rows('exported') == whole
    other = run_tool('certify', child, *FEW, '--cfg-options', 'data_preprocessor.sigma=50.0')
    assert 'smoothed.pth was trained for sigma=40, not for sigma=50' in other.error
    other = run_tool('certify', smoothed, checkpoint, *FEW, '--sigma', 50)
    assert 'cannot be certified under sigma=50' in other.error
    more = run_tool('certify', smoothed, checkpoint, '--n', 10)
    assert '1 <= n0 <= n; got n0=100, n=10' in more.error


def test_bad_input(smoothed, run_tool, target_checkpoint):
    assert 'give the checkpoint of' in run_tool('certify', smoothed).error
    assert 'SmoothedPurifier is untrained' in run_tool('certify', smoothed, target_checkpoint).error
    wrong = run_tool('certify', smoothed, target_checkpoint, '--alpha', 2)
    assert 'above 0 and below 1; got 2.0' in wrong.error
    plain = smoothed.with_name('plain.py')
    plain.write_text(re.sub(r'data_preprocessor = dict\((.|\n)*?\(1,\)\)\)\n', '', smoothed.read_text()))
    assert 'set sigma, in pixels' in run_tool('certify', plain, target_checkpoint).error
    wrong = run_tool('certify', plain, target_checkpoint, '--sigma', 40, '--baseline')
    assert 'has no purifier, so --baseline would' in wrong.error
    done = run_tool('certify', plain, target_checkpoint, '--sigma', 40, *FEW, '--skip-wrong', '--out', 'plain')
    assert done.code == 0, done.err
    assert 'count as abstentions' in done.out and len(rows('plain', 'no_purifier')) == 4
