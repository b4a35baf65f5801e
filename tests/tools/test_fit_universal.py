"""Fitting what is the same for all images, and testing with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

pytest.importorskip('mmpretrain')
TARGET = Path(__file__).parents[2] / 'configs' / 'target' / 'digits_target.py'
SHORT = ('--num-images', 12, '--epochs', 3)
OPTIONS = ('--cfg-options', 'val_dataloader.num_workers=0', 'val_dataloader.batch_size=4', 'log_level=WARNING')


def fit(run_tool, checkpoint, *arguments):
    return run_tool('fit_universal', TARGET, checkpoint, *arguments, *SHORT, *OPTIONS)


@pytest.mark.parametrize(
    'name, budget, measured',
    [('UniversalPerturbation', ('--eps', 8), 'linf'), ('UniversalPatch', ('--area', 0.1), 'area')],
)
def test_from_images_to_a_table(name, budget, measured, run_tool, target_checkpoint, config, trained, tmp_path):
    out = tmp_path / 'new' / 'universal.pth'
    call = ('--attack', name, *budget, '--out', out)
    done = fit(run_tool, target_checkpoint, *call)
    assert done.code == 0, done.err[-3000:]
    told = [float(value) for value in re.findall(r'epoch \d/3: mean objective ([\d.]+), \d+ s', done.out)]
    assert len(told) == 3 and f'{name} fitted to 12 images, written to {out}' in done.out
    content = torch.load(out, weights_only=True)
    assert content['channel_order'] == 'rgb' and content['made']['num_images'] == 12
    assert content['made']['seed'] == 0 and content['made']['objective'] == 'cross_entropy'
    if measured == 'linf':
        assert told[2] > told[0] and content['values'].abs().max() == 8
        again = fit(run_tool, target_checkpoint, *call)
        assert again.code == 0 and torch.equal(torch.load(out, weights_only=True)['values'], content['values'])
    else:
        side = int((0.1 * 32 * 32) ** 0.5)
        assert content['values'].shape == (3, side, side)

    results = tmp_path / 'results.json'
    tested = run_tool('test', config, trained, '--attack', name, '--file', out, *budget, '--out', results)
    assert tested.code == 0, tested.err[-3000:]
    attacked = json.loads(results.read_text())['results'][2]
    assert attacked['condition']['attack']['file'] == str(out) and attacked['measured']['attack/queries_max'] == 0
    size = attacked['measured'][f'perturbation/{measured}_max']
    assert size == pytest.approx(8) if measured == 'linf' else 0.05 < size <= 0.1
    if measured == 'area':
        assert '% of the pixels' in ' '.join(tested.out.split())


def test_mistakes_end_in_one_line(run_tool, target_checkpoint, config, trained, tmp_path):
    out = ('--out', tmp_path / 'universal.pth')
    uap, patch = ('--attack', 'UniversalPerturbation', *out), ('--attack', 'UniversalPatch', *out)
    cases = {
        'checkpoint not found: .*nowhere.pth': (tmp_path / 'nowhere.pth', *uap, '--eps', 8),
        'no target class 10; the model has 10': (target_checkpoint, *uap, '--eps', 8, '--target-class', 10),
        r'area is the share of the image .* got 2\.0': (target_checkpoint, *patch, '--area', 2),
        'have no part': (target_checkpoint, *patch, '--objective', 'cls'),
    }
    for message, arguments in cases.items():
        assert re.search(message, fit(run_tool, *arguments).error), message
    for message, arguments in {
        'UniversalPerturbation needs --eps': uap,
        '--area does not belong to UniversalPerturbation': (*uap, '--eps', 8, '--area', 0.1),
        '--eps does not belong to UniversalPatch': (*patch, '--eps', 8),
        '--epochs and --num-images must be at least 1': (*patch, '--epochs', 0),
    }.items():
        done = run_tool('fit_universal', TARGET, target_checkpoint, *arguments)
        assert done.code == 2 and message in done.err
    assert not (tmp_path / 'universal.pth').exists()
    missing = run_tool('test', config, trained, '--attack', 'UniversalPatch', '--file', tmp_path / 'none.pth')
    assert 'universal patch not found' in missing.error


@pytest.mark.parametrize('name', ['AdversarialPatch', 'DPatch'])
def test_patches_by_name(name, run_tool, config, trained, tmp_path):
    out = tmp_path / 'results.json'
    done = run_tool('test', config, trained, '--attack', name, '--steps', 2, '--area', 0.1, '--quantize', '--out', out)
    assert done.code == 0, done.err[-3000:]
    assert f'{name} (10 % of the image' in ' '.join(done.out.split()).replace(' | ', ' ') or name in done.out
    for row in json.loads(out.read_text())['results'][2:]:
        assert 0.05 < row['measured']['perturbation/area_mean'] <= row['measured']['perturbation/area_max'] <= 0.1
