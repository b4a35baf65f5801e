"""Choosing OAG's stopping step on noisy images."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip('mmpretrain')

OAG = """
data_preprocessor = dict(
    _delete_=True,
    type='OAGPurifier',
    num_classes=10,
    mean=[79.8, 79.8, 79.8],
    std=[90.9, 90.9, 90.9],
    num_steps=4,
    image_steps=2,
    network=dict(type='EnergyNetworks', num_filters=2))
"""


@pytest.fixture
def oag(child):
    return child('oag', OAG)


def test_curve_and_step(run_tool, oag, target_checkpoint, tmp_path):
    out = tmp_path / 'curve.json'
    arguments = (oag, target_checkpoint, '--steps', 3, 1, 3, '--num-images', 6, '--out', out)
    done = run_tool('tune_oag', *arguments)
    assert done.code == 0, done.err[-3000:]
    report = json.loads(out.read_text())
    assert report['format'] == 'mmadvdefense stopping step'
    assert [point['steps'] for point in report['curve']] == [0, 1, 3]
    assert report['metric'] == 'accuracy/top1' and report['sigma'] == 0.25 and report['num_images'] == 6
    rows = dict(re.findall(r'\| (not purified|\d+) +\| ([\d.]+) ', done.out))
    assert {name: float(value) for name, value in rows.items()} == {
        str(point['steps'] or 'not purified'): round(point['value'], 2) for point in report['curve']
    }
    best = max(point['value'] for point in report['curve'][1:])
    if best > 0:
        wanted = next(p['steps'] for p in report['curve'][1:] if p['value'] >= 0.99 * best)
        assert report['num_steps'] == wanted
        assert f'the curve flattens at {wanted} steps: num_steps={wanted}' in done.out
    else:
        assert report['num_steps'] is None and 'the noise is too strong' in done.out

    # The same images, noise and networks whatever the batch.
    again = run_tool('tune_oag', *arguments, '--cfg-options', 'val_dataloader.batch_size=3')
    assert again.code == 0, again.err[-3000:]
    assert json.loads(out.read_text())['curve'] == report['curve']

    loud = run_tool('tune_oag', *arguments, '--sigma', 0, '--split', 'test')
    assert loud.code == 0, loud.err[-3000:]
    other = json.loads(out.read_text())
    assert other['split'] == 'test' and other['sigma'] == 0


def test_mistakes_end_in_one_line(run_tool, config, oag, child, target_checkpoint, tmp_path):
    cases = {
        'checkpoint not found: .*nowhere.pth': [oag, tmp_path / 'nowhere.pth'],
        'AlignPurifier takes no steps that could be chosen': [config, target_checkpoint],
    }
    for message, arguments in cases.items():
        done = run_tool('tune_oag', *arguments)
        assert re.search(message, done.error), f'{message}: {done.error}'
    for wrong in (['--steps', 0], ['--sigma', -1], ['--tolerance', 1]):
        done = run_tool('tune_oag', oag, target_checkpoint, *wrong)
        assert done.code == 2 and wrong[0] in done.err


def test_test_tool_needs_no_trained_weights(run_tool, oag, target_checkpoint, tmp_path):
    out = tmp_path / 'results.json'
    done = run_tool('test', oag, target_checkpoint, '--out', out)
    assert done.code == 0, done.err[-3000:]
    plain, purified = json.loads(out.read_text())['results']
    assert not plain['purifier'] and purified['purifier']
    assert plain['measured']['purified/psnr'] is None and purified['measured']['purified/psnr'] < 30
