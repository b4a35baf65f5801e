"""``tools/leaderboard.py``: from a grid of a small classifier to a row, its page, and the same numbers again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]

GRID = """
target = dict(config='{root}/configs/target/digits_target.py', checkpoint='{target}')
defenses = dict(none=dict(), bits=dict(data_preprocessor=dict(type='BitDepthPurifier', bits=2)))
attacks = dict(FGSM=dict(type='FGSM', eps=2))
threat_models = ['gray-box', 'adaptive-bpda']
num_images = 8
num_examples = 0
test_dataloader = dict(batch_size=8, num_workers=0)
scales = dict(eight_bit=dict(quantize=True, threat_models=['adaptive-bpda']))
leaderboard = dict(
    dataset='digits', architecture='tiny',
    rows=dict(none=dict(title='none'), bits=dict(title='bit depth', footnote='By the identity.')))
"""


@pytest.fixture
def grid(tmp_path, target_checkpoint, monkeypatch) -> str:
    """The config of a small grid, in a folder that has a place for the leaderboard."""
    (tmp_path / 'grid.py').write_text(GRID.format(root=ROOT, target=target_checkpoint))
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'docs' / 'leaderboard.md').write_text('<!-- leaderboard -->\n<!-- end of leaderboard -->\n')
    return 'grid.py'


def test_from_a_grid_to_a_row_and_back(run_tool, grid, tmp_path):
    run_tool('robustness', grid, '--work-dir', 'plain')
    run_tool('robustness', grid, '--work-dir', 'rounded', '--scale', 'eight_bit')
    added = run_tool('leaderboard', '--add', 'plain/report.json', 'rounded/report.json')
    files = [f'zoo/results/classification/{name}_digits_target.json' for name in ('none', 'bits')]
    assert added.code == 0 and added.out.split() == [*files, 'docs/leaderboard.md', 'docs/leaderboard.html'], added
    row = json.loads((tmp_path / files[1]).read_text())
    report = json.loads((tmp_path / 'plain' / 'report.json').read_text())
    numbers = {cell['threat_model']: cell['metrics']['accuracy/top1'] for cell in report['cells'] if cell['purifier']}
    assert (row['clean_acc'], row['gray_box_acc']) == (numbers['clean'], numbers['gray-box'])
    assert row['adaptive_acc'] == numbers['adaptive-bpda'] and row['adaptive_acc_8bit'] is not None
    assert row['number_forward_passes'] == 1 and row['linf'] == 2 and row['autoattack_acc'] is None
    assert run_tool('leaderboard', '--check').code == 0

    verified = run_tool('leaderboard', '--verify', 'bits_digits_target', '--images', '8', '--work-dir', 'again')
    assert verified.code == 0 and 'bits_digits_target: 5 of 5 numbers are inside their intervals' in verified.out
    assert '| FGSM, adaptive-bpda, 8 bit ' in verified.out
    # The images of the row, with the same seeds.
    again = json.loads((tmp_path / 'again' / 'report.json').read_text())
    assert again['data']['digest'] == report['data']['digest'] and list(again['defenses']) == ['bits']

    # Numbers that somebody would like better, and a page that shows them no more.
    better = json.loads(json.dumps(row))
    better['clean_acc'] = better['attacks'][0]['acc'] = 100.0
    better['attacks'][0].update(score=100.0, interval=[63.1, 100.0])
    (tmp_path / files[1]).write_text(json.dumps(better))
    caught = run_tool('leaderboard', '--verify', 'bits_digits_target', '--work-dir', 'again')
    assert caught.code == 1 and '4 of 5 numbers' in caught.out and caught.out.count('| NO ') == 1
    assert 'docs/leaderboard.md, docs/leaderboard.html: not up to date' in run_tool('leaderboard', '--check').error
    row['receipt']['command'] = ''
    (tmp_path / files[1]).write_text(json.dumps(row))
    assert 'has no valid receipt: it has no command' in run_tool('leaderboard').error
    assert (
        "no row 'bits_digit' on the leaderboard; did you mean"
        in run_tool('leaderboard', '--verify', 'bits_digit').error
    )


def test_the_pages_show_the_result_files(run_tool, tmp_path):
    """Those of this repository, with their receipts."""
    for folder in ('configs', 'docs', 'zoo'):
        (tmp_path / folder).symlink_to(ROOT / folder)
    assert run_tool('leaderboard', '--check').code == 0
