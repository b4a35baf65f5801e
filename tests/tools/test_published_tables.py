"""``tools/robustness.py`` on a published table: tiny models end to end, what is missing, a kill, another scale."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from mmadvdefense.evaluation.grid.runner import Grid

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]

# Table I as configs/paper has it, for a tiny target of the built-in digits.
TABLE = """
_base_ = [
    '{root}/configs/_base_/paper/defenses.py',
    '{root}/configs/_base_/paper/table1.py',
]
fields = dict(data='cifar10', title='digits', target='digits_target', source='digits_source', place='data_preprocessor',
    ours='{defense}', ours_options='', full='', full_name='', same='', short='short')
threat_models = [
    dict(
        name='transfer',
        source=dict(config='{root}/configs/target/digits_target.py', checkpoint='checkpoints/{{source}}.pth'))]
scales = dict(small=dict(num_images=2))
attacks = {{
    'TI-PGD': dict(type='PGD', eps=2, step_size=1, steps=2, kernel_size=3, kernel_sigma=1),
    'DeepFool-fill': dict(type='DeepFool', eps=2, steps=2, fill=True),
    'CW': dict(type='CarliniWagnerBounded', eps=2, step_size=1, steps=2),
}}
columns = {{'clean': 'clean', 'PGD': 'TI-PGD', 'DeepFool': 'DeepFool-fill', 'C&W': 'CW'}}
num_images = 3
num_examples = 0
test_dataloader = dict(batch_size=3, num_workers=0)
"""


@pytest.fixture
def table(tmp_path, config, trained, save_target) -> Path:
    folder = tmp_path / 'checkpoints'
    folder.mkdir()
    for seed, name in enumerate(('digits_target', 'digits_source', 'digits_target_trades')):
        shutil.copy(save_target(seed=seed), folder / f'{name}.pth')
    shutil.copy(trained, folder / 'digits_target_align.pth')
    path = tmp_path / 'table1_digits.py'
    path.write_text(TABLE.format(root=ROOT, defense=config))
    return path


def published(out: str) -> list[list[str]]:
    lines = out[out.index('Table I, digits') :].splitlines()[1:]
    end = next(index for index, line in enumerate(lines) if not line.startswith(('+', '|')))
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[:end] if line.startswith('|')]


def test_end_to_end(run_tool, table, tmp_path):
    """What is missing is listed with the command that makes it; the rest is run, beside the paper's numbers."""
    refused = run_tool('robustness', table)
    assert '10 files are missing, listed above with how to get them' in refused.error
    command = (
        "checkpoints/digits_target_trades_finetuned.pth (defense 'TRADES (finetune)'): python tools/train.py "
        'configs/target/digits_target.py --out checkpoints/digits_target_trades_finetuned.pth --recipe trades finetune '
        '--cfg-options load_from=checkpoints/digits_target.pth'
    )
    assert command in refused.out.splitlines()
    assert not (tmp_path / 'work_dirs').exists(), 'before any work'
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    done = run_tool('robustness', table, '--skip-missing')
    assert done.code == 0, done.err[-3000:]
    rows = published(done.out)
    assert rows[0] == ['accuracy/top1 (%)', 'clean', 'PGD', 'DeepFool', 'C&W'] and len(rows) == 14
    shown = {row[0]: row[1:] for row in rows[1:]}
    assert shown['NRP'] == ['- (91.8)', '- (79.0)', '- (89.2)', '- (89.8)']
    report = json.loads((tmp_path / 'work_dirs' / 'table1_digits' / 'report.json').read_text())
    assert report['published']['rows']['Ours'] == [90.7, 81.4, 90.4, 90.6] and 'scale' not in report
    for name in ('No Defense', 'TRADES', 'Ours'):
        clean = next(c for c in report['cells'] if (c['defense'], c['threat_model']) == (name, 'clean'))
        ours = clean['metrics']['accuracy/top1']
        theirs = report['published']['rows'][name][0]
        assert shown[name][0] == f'{ours:.1f} ({theirs:.1f}, {ours - theirs:+.1f})'
        assert all(', ' in number for number in shown[name])


def test_killed_and_resumed_at_another_scale(run_tool, run_forked, table, tmp_path, monkeypatch):
    """After the fifth of twelve cells; the report is that of an uninterrupted run, to the byte."""
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    whole, killed = tmp_path / 'work_dirs' / 'table1_digits_small', tmp_path / 'killed'
    flags = ('--skip-missing', '--scale', 'small')
    done = run_tool('robustness', table, *flags)
    assert done.code == 0, done.err[-3000:]
    assert "scale 'small': other models, data and training than in the published table" in done.out
    report = json.loads((whole / 'report.json').read_text())
    assert report['data']['images'] == 2 and report['scale'] == 'small'
    assert "cannot be run at the scale 'large'" in run_tool('robustness', table, '--scale', 'large').error
    write = Grid._write

    def die_after_five(grid):
        if len(grid.results) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(grid)

    with monkeypatch.context() as patched:
        # A forked process inherits it.
        patched.setattr(Grid, '_write', die_after_five)
        dead = run_forked('robustness', table, *flags, '--work-dir', killed)
    assert dead.code == -9, dead.err[-3000:]
    before = {path: path.stat().st_mtime_ns for path in killed.glob('cells/*.json')}
    assert len(before) == 5
    done = run_tool('robustness', table, *flags, '--work-dir', killed)
    assert done.code == 0, done.err[-3000:]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(list(killed.glob('cells/*.json'))) == 12
    for name in ('report.json', 'report.md', 'samples.csv'):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


def test_settings_of_the_command_hold_at_every_scale(run_tool, table, tmp_path):
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')

    def images(name, *flags):
        listed = run_tool('robustness', table, '--skip-missing', '--list-cells', '--work-dir', tmp_path / name, *flags)
        assert listed.code == 0, listed.err[-3000:]
        return json.loads((tmp_path / name / 'run.json').read_text())['settings']['data']['images']

    one = ('--cfg-options', 'num_images=1')
    assert images('small', '--scale', 'small', *one) == images('named', *one) != images('scale', '--scale', 'small')
