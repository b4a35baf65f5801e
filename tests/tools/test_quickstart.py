"""``tools/quickstart.py`` on a small classifier: a purifier in a second or two, and what it says meanwhile."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]

CONFIG = """
_base_ = '{root}/configs/target/digits_target.py'
train_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=32))
test_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=20))
"""
OPTIONS = ('--minutes', 0.02, '--num-images', 8, '--work-dir', 'quick')


@pytest.fixture
def bare(tmp_path) -> Path:
    """The config of a model without a purifier."""
    path = tmp_path / 'bare.py'
    path.write_text(CONFIG.format(root=ROOT))
    return path


def test_from_a_model_to_a_protected_one(run_tool, bare, target_checkpoint, tmp_path):
    done = run_tool('quickstart', bare, target_checkpoint, *OPTIONS)
    assert done.code == 0, done.err[-3000:]
    folder = tmp_path / 'quick'
    stages = re.findall(r'^\[(\d)/5\] (.*?)(?: \(about .* left in all\))$', done.out, re.MULTILINE)
    assert [number for number, _ in stages] == list('12345')
    assert stages[1][1] == 'attacking the model: 8 images' and stages[2][1] == 'fitting a purifier: 1 s'
    assert re.search(r'100%  \d+ iterations, about 0 s left in this stage', done.out)
    assert '| adaptive' in done.out.lower() or 'adaptive' in done.out

    report = json.loads((folder / 'report.json').read_text())
    assert report['complete'] and list(report['defenses']) == ['none', 'purifier']
    scored = {(c['defense'], c['threat_model'], c['condition']['name']) for c in report['cells']}
    assert {('none', 'gray-box', 'PGD'), ('purifier', 'gray-box', 'TI-PGD'), ('purifier', 'adaptive', 'PGD')} <= scored
    page = (folder / 'report.html').read_text()
    assert page.count('<img') >= 2 and 'http' not in re.sub(r'data:[^"]*|xmlns[^ >]*', '', page)
    said = r'after (\d+) iterations, which are few: the general ones of the zoo took 292 and more \(--minutes (\d+)\)'
    iterations, minutes = map(int, re.search(rf'attacking both: {said}', done.out).groups())
    assert minutes == math.ceil(0.02 * 292 / iterations)
    assert torch.load(folder / 'purifier.pth', weights_only=True)['num_updates'] == iterations > 0

    # The config is ready for this package's tools, and shows the same numbers.
    settings = ('test_dataloader.batch_size=4', 'test_dataloader.dataset.indices=20')
    tested = run_tool(
        'test', folder / 'protected.py', target_checkpoint, '--out', 'out.json', '--cfg-options', *settings
    )
    assert tested.code == 0, tested.err[-3000:]
    purified = json.loads((tmp_path / 'out.json').read_text())['results'][1]
    assert purified['defense'] == 'AlignPurifier'

    # A folder with other results is left alone.
    (folder / 'run.json').write_text(json.dumps(dict(config='other.py')))
    done = run_tool('quickstart', bare, target_checkpoint, *OPTIONS)
    assert re.search('quick holds the results of another run; choose another --work-dir', done.error)


def test_bad_input(run_tool, bare, target_checkpoint):
    cases = {
        'config of the model not found: nowhere.py': ['nowhere.py', target_checkpoint],
        'checkpoint of the model not found: nowhere.pth': [bare, 'nowhere.pth'],
        'minutes must be positive, got -1': [bare, target_checkpoint, '--minutes=-1'],
        'there is no folder of images nowhere': [bare, target_checkpoint, '--images', 'nowhere'],
    }
    for message, arguments in cases.items():
        done = run_tool('quickstart', *arguments)
        assert re.search(message, done.error), done.error
