"""``tools/robustness.py`` from the command line: its tables and files, a kill, other batches, two processes."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
import torch
from scipy import stats

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]
# Seven spread evenly over 500.
IMAGES = [0, 71, 142, 214, 285, 357, 428]

GRID = """
custom_imports = dict(imports=['mmadvdefense', 'attacks_for_tests'], allow_failed_imports=False)
target = dict(config='{root}/configs/target/digits_target.py', checkpoint='{target}')
source = dict(config='{root}/configs/target/digits_target.py', checkpoint='{source}')
defenses = dict(
    none=dict(),
    align=dict(config='{defense}', checkpoint='{trained}'),
    bits=dict(data_preprocessor=dict(type='BitDepthPurifier', bits=2)))
attacks = dict(
    FGSM=dict(type='FGSM', eps=1),
    PGD=dict(type='KillablePGD', eps=2, step_size=1, steps=3))
threat_models = ['gray-box', dict(name='transfer', source=source), dict(name='adaptive', attacks=['PGD'])]
num_images = 7
num_examples = 2
test_dataloader = dict(batch_size=4, num_workers=0)
"""

ATTACKS = '''
import os
import signal

from mmadvdefense.attacks import FGSM, PGD
from mmadvdefense.purifiers import Purifier
from mmadvdefense.registry import ATTACKS, MODELS

CALLS = []


@ATTACKS.register_module(force=True)
class KillablePGD(PGD):
    """PGD that is killed (-9) in the middle of the batch whose number the environment names."""

    def perturb(self, batch):
        CALLS.append(len(batch))
        adversarial = super().perturb(batch)
        if len(CALLS) == int(os.environ.get('KILL_AT', 0)):
            os.kill(os.getpid(), signal.SIGKILL)
        return adversarial


@ATTACKS.register_module(force=True)
class BrokenFGSM(FGSM):
    """Ends as libraries do, at the second batch, where the environment says so."""

    def perturb(self, batch):
        CALLS.append(len(batch))
        if os.environ.get('BREAK') and len(batch) == 3:
            [][len(CALLS)]
        return super().perturb(batch)


@MODELS.register_module(force=True)
class BrokenPurifier(Purifier):
    def purify(self, images):
        if os.environ.get('BREAK'):
            raise KeyError('nothing to clean with')
        return images
'''


@pytest.fixture(scope='session')
def probe(target_checkpoint) -> dict[str, torch.Tensor]:
    """The last layer of the digits' target fitted to its random features, so that there is something to attack."""
    from mmengine.config import Config

    from mmadvdefense.evaluation.grid.image_selection import open_test_set
    from mmadvdefense.models import build_model

    config = Config.fromfile(ROOT / 'configs' / 'target' / 'digits_target.py')
    model = build_model(config).eval()
    model.load_state_dict(torch.load(target_checkpoint)['state_dict'])
    dataset = open_test_set(config)
    items = [dataset[index] for index in [*range(0, 500, 4), *IMAGES]]
    with torch.no_grad():
        inputs = model.data_preprocessor({'inputs': [item['inputs'] for item in items]})['inputs']
        features = model.neck(model.backbone(inputs))[-1].double()
    labels = torch.cat([item['data_samples'].gt_label for item in items])
    centred = features - features.mean(0)
    ridge = 1e-3 * centred.norm() ** 2 * torch.eye(features.shape[1], dtype=torch.double)
    wanted = torch.nn.functional.one_hot(labels, 10).double() - 0.1
    weight = torch.linalg.solve(centred.T @ centred + ridge, centred.T @ wanted).T
    return {'head.fc.weight': weight.float(), 'head.fc.bias': -(weight @ features.mean(0)).float()}


@pytest.fixture
def grid(tmp_path, config, trained, target_checkpoint, save_target, probe, hooks_for_tests) -> Path:
    """The config of a small grid of the built-in digits."""
    for path in (trained, tmp_path / 'target.pth'):
        state = torch.load(trained if path == trained else target_checkpoint)['state_dict']
        torch.save({'state_dict': {**state, **probe}}, path)
    (hooks_for_tests / 'attacks_for_tests.py').write_text(ATTACKS)
    sys.modules.pop('attacks_for_tests', None)
    path = tmp_path / 'grid.py'
    target, source = tmp_path / 'target.pth', save_target(seed=9)
    path.write_text(GRID.format(root=ROOT, target=target, source=source, defense=config, trained=trained))
    return path


@pytest.fixture
def variant(grid) -> Callable[..., Path]:
    """A config that inherits from :func:`grid`."""

    def write(name: str, text: str) -> Path:
        path = grid.with_name(f'{name}.py')
        path.write_text(f"_base_ = './{grid.name}'\n{text}\n")
        return path

    return write


SMALL = """
threat_models = ['gray-box']
defenses = dict(_delete_=True, none=dict(), bits=dict(data_preprocessor=dict(type='BitDepthPurifier', bits=2)))
"""


def _report(folder: Path) -> dict:
    text = (folder / 'report.json').read_text()
    return json.loads(text, parse_constant=lambda name: pytest.fail(f'{name} is no JSON'))


def _samples(folder: Path) -> dict[tuple, list[dict]]:
    """The rows of every cell."""
    cells: dict[tuple, list[dict]] = {}
    with (folder / 'samples.csv').open() as file:
        for row in csv.DictReader(file):
            cells.setdefault((row['threat_model'], row['attack'], row['defense']), []).append(row)
    return cells


def _tables(out: str) -> dict[str, list[list[str]]]:
    """Rows by the title of their table."""
    tables: dict[str, list[list[str]]] = {}
    before = ''
    for line in out.splitlines():
        if line.startswith('+') and not before.startswith(('+', '|')):
            rows = tables.setdefault(before, [])
        elif line.startswith('|'):
            rows.append([cell.strip() for cell in line.strip('|').split('|')])
        before = line
    return tables


def _rights(rows: list[dict]) -> list[int]:
    return [int(row['correct']) for row in rows]


def test_tables_and_files(run_tool, grid, config, trained, tmp_path):
    out = tmp_path / 'copy.json'
    done = run_tool('robustness', grid, '--work-dir', tmp_path / 'run', '--out', out)
    assert done.code == 0, done.err[-3000:]
    report, cells, tables = _report(tmp_path / 'run'), _samples(tmp_path / 'run'), _tables(done.out)
    assert json.loads(out.read_text()) == report
    assert report['format'] == 'mmadvdefense robustness report' and report['version'] == 2 and report['complete']
    assert report['software']['torch'] == torch.__version__
    assert report['data']['images'] == 7 and report['data']['classes'] == [str(digit) for digit in range(10)]

    # Every cell is there, and what cannot run says why.
    titles = ['gray-box', 'transfer from digits_target', 'adaptive']
    assert list(report['threat_models']) == titles
    both = [(attack, defense) for defense in ('none', 'align', 'bits') for attack in ('FGSM', 'PGD')]
    expected = {('clean', 'clean', defense) for defense in ('none', 'align', 'bits')}
    expected |= {(title, *cell) for title in titles[:2] for cell in both}
    assert set(cells) == expected | {('adaptive', 'PGD', 'align')}
    reason = 'BitDepthPurifier has no gradient to follow; use adaptive-bpda'
    assert {cell['reason'] for cell in report['cells'] if not cell['metrics']} == {reason}

    # The table's numbers are those of the images.
    assert tables['gray-box'][0] == ['accuracy/top1 (%)', 'clean', 'FGSM', 'PGD', 'worst case']
    for title in titles[:2]:
        for defense, *shown in tables[title][1:]:
            if defense not in report['methods']:
                continue  # the source's own score on the clean images, whose name takes two lines
            rights = [_rights(cells['clean', 'clean', defense])]
            rights += [_rights(cells[title, attack, defense]) for attack in ('FGSM', 'PGD')]
            rights.append([a * b for a, b in zip(*rights[1:])])
            assert shown == [f'{100 * np.mean(column):.2f}' for column in rights], (title, defense)
    assert tables['adaptive'][0] == ['accuracy/top1 (%)', 'clean', 'PGD']
    wrapped = ' '.join(row[2] for row in tables['adaptive'][2:])
    assert [row[0] for row in tables['adaptive'][1:3]] == ['align', 'bits'] and wrapped == f'cannot run: {reason}'
    page = (tmp_path / 'run' / 'report.md').read_text()
    assert f'cannot run: {reason}' in page and f'{len(cells["clean", "clean", "none"])} images' in page

    # What an attack changed, and whether differences are chance.
    for (threat, _, defense), rows in cells.items():
        if threat != 'clean':
            clean = [row['decision'] for row in cells['clean', 'clean', defense]]
            assert [row['changed'] for row in rows] == [str(int(a['decision'] != b)) for a, b in zip(rows, clean)]
    assert any(row['changed'] == '1' for rows in cells.values() for row in rows), 'or this would test nothing'
    for test in report['comparisons']:
        ours, theirs = (_rights(cells[test['threat_model'], test['attack'], name]) for name in test['defenses'])
        assert test['difference'] == pytest.approx(np.mean(ours) - np.mean(theirs))
        if len(set(np.subtract(ours, theirs))) > 1:
            assert test['p'] == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert len(report['comparisons']) == 2 * 2 * 3

    # Defenses that the attacker does not know met the same images, the others did not.
    sizes = {key: [row['l2'] for row in rows] for key, rows in cells.items()}
    for title in titles[:2]:
        for attack in ('FGSM', 'PGD'):
            assert sizes[title, attack, 'none'] == sizes[title, attack, 'align'] == sizes[title, attack, 'bits']
    assert sizes['gray-box', 'PGD', 'align'] not in (
        sizes['transfer from digits_target', 'PGD', 'align'],
        sizes['adaptive', 'PGD', 'align'],
    )

    # Images to look at.
    examples = {path.stem: path for path in (tmp_path / 'run' / 'examples').glob('*.npz')}
    (attacked,) = (cell for cell in report['cells'] if cell['threat_model'] == 'adaptive' and cell['metrics'])
    with np.load(examples[attacked['file']]) as images:
        assert set(images) == {f'{i}/{s}' for i in (0, 3) for s in ('clean', 'adversarial', 'purified', 'name')}
        change = images['3/adversarial'].astype(int) - images['3/clean']
        assert images['3/clean'].shape == (3, 32, 32) and 0 < abs(change).max() <= 2
        assert (images['3/purified'] != images['3/adversarial']).any()

    # The same numbers as of the tool that tests one model.
    same = f'test_dataloader.dataset.indices={IMAGES}'.replace(' ', '')
    one = (config, trained, '--attack', 'FGSM', '--eps', 1, '--cfg-options', same)
    alone = run_tool('test', *one, '--out', out, '--work-dir', tmp_path / 'work')
    assert alone.code == 0, alone.err[-3000:]
    theirs = json.loads(out.read_text())['results'][2:]
    for result, defense in zip(theirs, ('none', 'align')):
        (ours,) = (
            cell
            for cell in report['cells']
            if (cell['threat_model'], cell['condition']['name'], cell['defense']) == ('gray-box', 'FGSM', defense)
        )
        for part in ('metrics', 'measured', 'scores', 'purifier'):
            assert ours[part] == result[part], part


def test_correct_images_only(run_tool, variant, tmp_path):
    """OAG's protocol: the undefended target is right on all that it is tested on; a second run does not ask again."""
    small = variant('correct', SMALL + 'correct_only = True\nimages_per_class = 1\nnum_images = 6')
    # Already a list of cells needs to know them, and says nothing else.
    listed = run_tool('robustness', small, '--work-dir', tmp_path / 'run', '--list-cells')
    assert [len(line.split('\t')) for line in listed.out.splitlines()] == [5] * 6
    assert (tmp_path / 'run' / 'correct_images.json').exists()
    assert run_tool('robustness', small, '--work-dir', tmp_path / 'run').code == 0
    report = _report(tmp_path / 'run')
    selection = report['data']['selection']
    assert report['data']['images'] == 6 and selection['candidates'] == 500
    # The probe is right on the 500 images at least as often as chance, and knows most digits.
    assert 50 < selection['correct'] < 500 and selection['images_per_class'] == 1 and selection['classes'] >= 6
    cells = _samples(tmp_path / 'run')
    assert _rights(cells['clean', 'clean', 'none']) == [1] * 6
    assert len({row['decision'] for row in cells['clean', 'clean', 'none']}) == 6, 'one of each class'
    page = (tmp_path / 'run' / 'report.md').read_text()
    assert f'Chosen from 500 images, of which the target without a defense gets {selection["correct"]} right' in page
    assert 'gets' in (tmp_path / 'run' / 'report.html').read_text()
    answers = tmp_path / 'run' / 'correct_images.json'
    written = answers.stat().st_mtime_ns, (tmp_path / 'run' / 'report.json').read_bytes()
    assert run_tool('robustness', small, '--work-dir', tmp_path / 'run').code == 0
    assert written == (answers.stat().st_mtime_ns, (tmp_path / 'run' / 'report.json').read_bytes())


def test_goes_on_after_a_kill(run_tool, run_forked, variant, tmp_path, monkeypatch):
    """In the middle of a batch; neither a cell nor an image is made twice, and the files are the same to the byte."""
    small = variant('small', SMALL)
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    assert run_tool('robustness', small, '--work-dir', whole).code == 0
    monkeypatch.setenv('KILL_AT', '2')
    dead = run_forked('robustness', small, '--work-dir', killed)
    assert dead.code == -9, dead.err[-3000:]
    monkeypatch.delenv('KILL_AT')
    before = {path: path.stat().st_mtime_ns for path in killed.rglob('cells/*.json')}
    images = {path: path.stat().st_mtime_ns for path in killed.rglob('adversarial/*/*.npz')}
    assert len(before) == 2 and len(images) == 7 + 4, 'clean and FGSM are finished, of PGD a batch'
    assert not _report(killed)['complete'] and not (killed / 'samples.csv').exists()

    sys.modules.pop('attacks_for_tests', None)
    assert run_tool('robustness', small, '--work-dir', killed).code == 0
    assert sys.modules['attacks_for_tests'].CALLS == [3], 'the last batch alone'
    assert all(path.stat().st_mtime_ns == time for path, time in {**before, **images}.items())
    for name in ('report.json', 'report.md', 'samples.csv'):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert _report(killed)['complete']
    for path in whole.glob('cells/*.json'):
        ours, theirs = (json.loads((folder / 'cells' / path.name).read_text()) for folder in (whole, killed))
        assert {**ours, 'seconds': 0} == {**theirs, 'seconds': 0}


def _same_numbers(ours: Path, theirs: Path) -> None:
    """Every image right or wrong alike, and the rest up to rounding."""
    left, right = _samples(ours), _samples(theirs)
    assert left.keys() == right.keys()
    for key, rows in left.items():
        for a, b in zip(rows, right[key]):
            same = ('index', 'image', 'correct', 'score', 'decision', 'changed', 'queries')
            assert {name: a[name] for name in same} == {name: b[name] for name in same}, key
            assert float(a['l2']) == pytest.approx(float(b['l2']), rel=0.02), key


def test_batches_and_workers_do_not_matter(run_tool, variant, tmp_path):
    small = variant('small', SMALL)
    outs = {}
    for name, batch_size, workers in (('a', 4, 0), ('b', 3, 2)):
        loader = (f'test_dataloader.batch_size={batch_size}', f'test_dataloader.num_workers={workers}')
        done = run_tool('robustness', small, '--work-dir', tmp_path / name, '--cfg-options', *loader)
        assert done.code == 0, done.err[-3000:]
        outs[name] = _tables(done.out)['gray-box']
    assert outs['a'] == outs['b']
    _same_numbers(tmp_path / 'a', tmp_path / 'b')
    # It is the same configuration: what one has made, the other takes.
    again = run_tool('robustness', small, '--work-dir', tmp_path / 'a', '--cfg-options', 'test_dataloader.batch_size=1')
    assert again.code == 0 and _tables(again.out)['gray-box'] == outs['a']


@pytest.mark.skipif(sys.platform == 'darwin', reason='gloo resolves no host name there')
def test_two_processes_test_as_one(run_tool, run_forked, variant, tmp_path):
    small = variant('small', SMALL)
    one = run_tool('robustness', small, '--work-dir', tmp_path / 'one')
    assert one.code == 0, one.err[-3000:]
    two = run_forked('robustness', small, '--launcher', 'pytorch', '--work-dir', tmp_path / 'two', ranks=2)
    assert two.code == 0, two.err[-3000:]
    assert _tables(one.out) == _tables(two.out)
    assert {len(rows) for rows in _samples(tmp_path / 'two').values()} == {7}, 'the eighth fills up the second process'
    _same_numbers(tmp_path / 'one', tmp_path / 'two')


def test_cells_by_themselves_in_any_order(run_tool, run_forked, variant, tmp_path):
    """Attacks before clean images, and two processes; a run of the grid joins them to what it gives by itself."""
    small = variant('small', SMALL)
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    assert run_tool('robustness', small, '--work-dir', whole).code == 0
    listed = run_tool('robustness', small, '--work-dir', parts, '--list-cells')
    assert listed.code == 0, listed.err[-3000:]
    cells = [line.split('\t') for line in listed.out.splitlines()]
    kinds = [('clean', 'clean'), ('gray-box', 'FGSM'), ('gray-box', 'PGD')]
    expected = [(defense, *kind) for defense in ('none', 'bits') for kind in kinds]
    assert cells == [[str(number), *cell, 'open'] for number, cell in enumerate(expected, start=1)]

    one = (small, '--work-dir', parts, '--cell')
    for number in (6, 1):
        done = run_tool('robustness', *one, number)
        assert done.code == 0, done.err[-3000:]
        assert done.out.endswith(f'cell {number} ({", ".join(dict.fromkeys(expected[number - 1]))}): done\n')
    both = run_forked('robustness', *one, '3', '--launcher', 'pytorch', ranks=2)
    assert both.code == 0, both.err[-3000:]
    kept = {path: path.stat().st_mtime_ns for path in parts.glob('cells/*.json')}
    assert run_tool('robustness', *one, 3).code == 0
    assert {path: path.stat().st_mtime_ns for path in parts.glob('cells/*.json')} == kept, 'not run again'
    listed = run_tool('robustness', small, '--work-dir', parts, '--list-cells')
    states = [line.split('\t')[-1] for line in listed.out.splitlines()]
    assert states == ['done', 'open', 'done', 'open', 'open', 'done'] and not (parts / 'report.json').exists()

    sys.modules['attacks_for_tests'].CALLS.clear()
    assert run_tool('robustness', small, '--work-dir', parts).code == 0
    assert sys.modules['attacks_for_tests'].CALLS == [], 'PGD has run on all images before'
    for name in ('report.json', 'report.md', 'samples.csv'):
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name
    for path in whole.glob('cells/*.json'):
        ours, theirs = (json.loads((folder / 'cells' / path.name).read_text()) for folder in (whole, parts))
        assert {**ours, 'seconds': 0} == {**theirs, 'seconds': 0}


def test_cells_that_fail_or_do_not_exist(run_tool, variant, tmp_path, monkeypatch):
    broken, run = variant('broken', BROKEN), tmp_path / 'run'
    one = ('robustness', broken, '--work-dir', run)
    monkeypatch.setenv('BREAK', '1')
    assert run_tool(*one, '--cell', 2).error.startswith('error: none, gray-box, FGSM: IndexError: list index out of r')
    listed = run_tool(*one, '--list-cells').out.splitlines()
    assert [line.split('\t')[-1] for line in listed[:3]] == ['open', 'failed', 'open']
    assert run_tool(*one, '--cell', 10).error == 'error: --cell 10: this grid has the cells 1 to 9, see --list-cells'
    refused = run_tool(*one, '--cell', 1, '--out', 'report.json')
    assert refused.code == 2 and '--out and --update need all cells' in refused.err


def test_images_are_made_once_for_all(run_tool, variant, tmp_path):
    """Not for every defense, and not again by another grid with the same cache."""
    step = "dict(_delete_=True, type='KillablePGD', eps=4, step_size=4, steps=1)"
    text = f"{SMALL}\ncache_dir = '{tmp_path / 'cache'}'\nattacks = dict(FGSM={step})"
    assert run_tool('robustness', variant('first', text), '--work-dir', tmp_path / 'first').code == 0
    assert sys.modules['attacks_for_tests'].CALLS == [4, 3, 4, 3], 'two attacks on two batches, for two defenses'
    sys.modules['attacks_for_tests'].CALLS.clear()
    more = (
        text
        + '\nnum_examples = 0\ndefenses = dict(align=dict(_delete_=True), bits=dict(data_preprocessor=dict(bits=5)))'
    )
    done = run_tool('robustness', variant('second', more), '--work-dir', tmp_path / 'second')
    assert done.code == 0, done.err[-3000:]
    assert sys.modules['attacks_for_tests'].CALLS == []
    assert not (tmp_path / 'second' / 'adversarial').exists()


def test_attacks_that_one_defense_is_spared(run_tool, variant, tmp_path):
    text = SMALL.replace('bits=2)))', "bits=2), attacks=['PGD']))")
    assert text != SMALL
    done = run_tool('robustness', variant('spared', text), '--work-dir', tmp_path / 'run')
    assert done.code == 0, done.err[-3000:]
    none, bits = _tables(done.out)['gray-box'][1:]
    assert '-' not in none and [cell == '-' for cell in bits] == [False, False, True, False, True]
    cells = {(cell['defense'], cell['condition']['name']) for cell in _report(tmp_path / 'run')['cells']}
    assert ('bits', 'PGD') in cells and ('bits', 'FGSM') not in cells
    # Nothing is run again where a defense is no longer spared.
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'run').glob('cells/*.json')}
    done = run_tool('robustness', variant('all', SMALL), '--work-dir', tmp_path / 'run')
    assert done.code == 0, done.err[-3000:]
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'run').glob('cells/*.json')}
    assert len(now) == len(kept) + 1 and kept.items() <= now.items()


BROKEN = """
threat_models = ['gray-box']
attacks = dict(FGSM=dict(type='BrokenFGSM'))
broken = dict(data_preprocessor=dict(type='BrokenPurifier'))
defenses = dict(
    _delete_=True, none=dict(), broken=broken, bits=dict(data_preprocessor=dict(type='BitDepthPurifier', bits=2)))
"""


def test_what_fails_costs_its_own_cell(run_tool, variant, tmp_path, monkeypatch):
    """The others are as without it, the exit status tells, and the next run tries again."""
    broken, run = variant('broken', BROKEN), tmp_path / 'run'
    monkeypatch.setenv('BREAK', '1')
    done = run_tool('robustness', broken, '--work-dir', run)
    assert done.error.startswith('error: none, gray-box, FGSM: IndexError: list index out of range, and 4 more; the')
    report = _report(run)
    cells = {(cell['defense'], cell['condition']['name']): cell for cell in report['cells']}
    assert not report['complete'] and len(cells) == 9
    wrong = {key for key, cell in cells.items() if cell['error']}
    assert wrong == {('none', 'FGSM'), ('bits', 'FGSM'), *(('broken', name) for name in ('clean', 'FGSM', 'PGD'))}
    assert not any(cells[key]['metrics'] for key in wrong) and all(
        cells[key]['metrics'] for key in cells.keys() - wrong
    )
    assert cells['none', 'FGSM']['reason'] == 'IndexError: list index out of range'
    assert 'in perturb\n    [][len(CALLS)]' in cells['none', 'FGSM']['error']
    assert cells['broken', 'clean']['reason'] == "KeyError: 'nothing to clean with'"
    assert "raise KeyError('nothing to clean with')" in done.out, 'in the log'
    page = (run / 'report.md').read_text()
    assert '**5 cells failed**' in page and '| failed: IndexError: list index out of range |' in page
    assert (run / 'report.html').exists()

    monkeypatch.delenv('BREAK')
    kept = {path.name: path.stat().st_mtime_ns for path in run.glob('cells/*.json')}
    done = run_tool('robustness', broken, '--work-dir', run)
    assert done.code == 0, done.err[-3000:]
    now = {path.name: path.stat().st_mtime_ns for path in run.glob('cells/*.json')}
    assert now.keys() == kept.keys() and sum(now[name] != kept[name] for name in now) == 5, 'what failed, and no more'
    whole = run_tool('robustness', broken, '--work-dir', tmp_path / 'whole')
    assert whole.code == 0 and (run / 'report.json').read_bytes() == (tmp_path / 'whole' / 'report.json').read_bytes()


def test_a_grid_in_which_all_fails(run_tool, variant, tmp_path, monkeypatch):
    monkeypatch.setenv('BREAK', '1')
    text = f'{BROKEN}\ndefenses = dict(_delete_=True, broken=broken)'
    done = run_tool('robustness', variant('nothing', text), '--work-dir', tmp_path / 'run')
    assert "error: broken, clean, clean: KeyError: 'nothing to clean with', and 2 more" in done.error
    assert _report(tmp_path / 'run')['metric'] is None and (tmp_path / 'run' / 'report.html').exists()


def test_a_library_that_ends_in_an_error(run_tool, variant, tmp_path):
    """The eleventh wrong class of ten: torchattacks' IndexError."""
    pytest.importorskip('torchattacks')
    # Next to nothing, so that the images stay right until that class is tried.
    attack = "dict(_delete_=True, type='TorchAttack', name='APGDT', eps=0.01, steps=2, n_classes=12)"
    text = f'{SMALL}\nattacks = dict(FGSM={attack})'
    done = run_tool('robustness', variant('library', text), '--work-dir', tmp_path / 'run')
    assert done.error.startswith('error: none, gray-box, FGSM: IndexError: index')
    assert [bool(cell['error']) for cell in _report(tmp_path / 'run')['cells']] == [False, True, False] * 2


def test_an_error_without_attack_and_defense_ends_the_grid(run_tool, variant, tmp_path):
    text = f"{SMALL}\ntest_evaluator = dict(_delete_=True, type='Accuracy', topk=(1, 20))"
    with pytest.raises(ValueError, match='Top-20 accuracy is unavailable'):
        run_tool('robustness', variant('metric', text), '--work-dir', tmp_path / 'run')
    assert not list((tmp_path / 'run').glob('cells/*.json'))


def test_a_folder_of_another_configuration(run_tool, variant, tmp_path):
    small = variant('small', SMALL)
    run = tmp_path / 'run'
    assert run_tool('robustness', small, '--work-dir', run).code == 0
    kept = {path.name: path.stat().st_mtime_ns for path in run.glob('cells/*.json')}
    other = variant(
        'other', SMALL.replace("['gray-box']", "['gray-box', 'query']") + '\nattacks = dict(PGD=dict(steps=2))'
    )
    refused = run_tool('robustness', other, '--work-dir', run)
    assert f'{run} holds the report of another configuration ({small})' in refused.error
    assert 'attacks.PGD.steps (3 there, 2 here)' in refused.error and '--force' in refused.error
    assert {path.name: path.stat().st_mtime_ns for path in run.glob('cells/*.json')} == kept
    done = run_tool('robustness', other, '--work-dir', run, '--force')
    assert done.code == 0, done.err[-3000:]
    now = {path.name: path.stat().st_mtime_ns for path in run.glob('cells/*.json')}
    assert len(now) == 2 * (1 + 2 + 2)
    same = {name for name in kept if '__PGD__' not in name}
    assert {name: now.get(name) for name in same} == {name: kept[name] for name in same}, 'not run again'
    assert not any(name in now for name in kept.keys() - same), 'of the other configuration'
    rows = _tables(done.out)['query'][1:]
    assert 'cannot run: FGSM needs' in rows[0][2] and {row[0] for row in rows} == {'none', 'bits', ''}


def test_mistakes_end_in_one_line(run_tool, grid, variant, save_target, config, tmp_path):
    seven = tmp_path / 'seven.py'
    seven.write_text(f"_base_ = '{ROOT}/configs/target/digits_target.py'\nmodel = dict(head=dict(num_classes=7))\n")
    missing = tmp_path / 'images' / 'a' / '0.png'
    for name in ('a', 'b'):
        (tmp_path / 'images' / name).mkdir(parents=True)
        (tmp_path / 'images' / name / '1.png').write_bytes(b'')
    folder = tmp_path / 'folder.py'
    folder.write_text(
        f"_base_ = '{ROOT}/configs/target/digits_target.py'\n"
        "test_dataloader = dict(dataset=dict(_delete_=True, type='CustomDataset', pipeline=[],\n"
        f"    classes=[str(i) for i in range(10)], ann_file='{tmp_path}/list.txt', data_prefix='{tmp_path}/images'))\n"
    )
    (tmp_path / 'list.txt').write_text('a/1.png 0\na/0.png 1\n')
    own = 'threat_models = [dict(name={name!r}, {rest})]'
    cases = {
        "attack 'PGD': unknown attack 'PGDD'; did you mean PGD": "attacks = dict(PGD=dict(type='PGDD'))",
        "attack 'PGD': PGD: .*eps .* >= 0, got -1": "attacks = dict(PGD=dict(type='PGD', eps=-1))",
        "'clean' is reserved for clean images": "attacks = dict(clean=dict(type='FGSM', eps=8))",
        "unknown threat model 'graybox'; did you mean gray-box": "threat_models = ['graybox']",
        "unknown attack 'CW'; known": own.format(name='gray-box', rest="attacks=['CW']"),
        "'gray-box' takes no eot_samples": own.format(name='gray-box', rest='eot_samples=3'),
        "contains 'gray-box' twice": "threat_models = ['gray-box', 'gray-box']",
        'config of a source of .* not found: nowhere.py': own.format(
            name='transfer', rest="source=dict(config='nowhere.py', checkpoint='a.pth')"
        ),
        'the attack source predicts 7 classes, the target 10': own.format(
            name='transfer', rest=f"source=dict(config='{seven}', checkpoint='{save_target(num_classes=7)}')"
        ),
        'checkpoint of the target not found: nowhere.pth; 1 file is missing, listed above .*: get it first$': (
            "target = dict(checkpoint='nowhere.pth')"
        ),
        "defense 'align' has no checkpoint": f"defenses = dict(align=dict(_delete_=True, config='{config}'))",
        "defense 'bits': unknown purifier 'JPGPurifier'; did you mean JPEGPurifier": (
            "defenses = dict(bits=dict(data_preprocessor=dict(_delete_=True, type='JPGPurifier')))"
        ),
        'num_images must be in 1-500': 'num_images = 501',
        'omit one': 'indices = [1]',
        'indices are positions in a data set of 500 images: 500 is none': 'num_images = None\nindices = [0, 500]',
        "has no layer 'backbone.layer9'; did you mean backbone.layer": "layers = ['backbone.layer9']",
        "unknown setting 'quantise' of a grid; did you mean 'quantize'": 'quantise = True',
        re.escape(f'{missing} is missing: image 1 of CustomDataset'): (
            f"target = dict(config='{folder}')\nnum_images = None"
        ),
    }  # fmt: skip
    for number, (message, text) in enumerate(cases.items()):
        done = run_tool('robustness', variant(f'case{number}', text), '--work-dir', tmp_path / 'run')
        assert re.search(message, done.error), f'{message}: {done.error}'
    assert not (tmp_path / 'run').exists(), 'before any work'
    misspelt = tmp_path / 'misspelt.py'
    misspelt.write_text(grid.read_text().replace('defenses =', 'defense ='))
    refused = run_tool('robustness', misspelt)
    assert "'defenses' is missing; did you mean 'defenses' by 'defense'" in refused.error


def test_budgets_of_the_range_0_to_1_are_warned_of(run_tool, variant, tmp_path):
    text = SMALL + "\nattacks = dict(FGSM=dict(eps=0.031), PGD=dict(_delete_=True, type='FGSM', eps=8))"
    with pytest.warns(UserWarning, match=r'FGSM: eps=0.031 is in pixels'):
        done = run_tool('robustness', variant('unit', text), '--work-dir', tmp_path / 'run')
    assert done.code == 0, done.err[-3000:]


TESTED = """
threat_models = ['gray-box', 'adaptive', dict(name='adaptive-eot', eot_samples=2)]
random = dict(data_preprocessor=dict(type='RandomResizePadPurifier', min_scale=0.8))
defenses = dict(_delete_=True, none=dict(), random=random)
attacks = dict(FGSM=dict(eps=4), PGD=dict(eps=4, step_size=0.001, steps=2))
self_test = dict(num_images=2)
defense_samples = 3
num_images = 4
num_examples = 0
"""


def test_self_tests_and_draws_of_random_defenses(run_tool, variant, tmp_path):
    run = tmp_path / 'run'
    done = run_tool('robustness', variant('tested', TESTED), '--work-dir', run)
    assert done.code == 0, done.err[-3000:]
    report = _report(run)
    # The random defense is there a second time, with a fixed draw, over which there is nothing to average.
    assert report['methods'] == {name: [name] for name in ('none', 'random', 'random, fixed seed')}
    ran = {(cell['threat_model'], cell['defense']): cell['scores'] for cell in report['cells']}
    eot = 'adaptive-eot, 2 EOT samples'
    assert (eot, 'random') in ran and (eot, 'random, fixed seed') not in ran
    for (_, defense), scores in ran.items():
        assert ('draws' in scores) == (defense == 'random')
        if defense == 'random':
            draws = scores['draws']
            assert draws['number'] == 3 and 0 <= draws['worst'] <= min(scores['correct'], draws['majority'])
    tests = {(test['threat_model'], test['attack'], test['defense']): test for test in report['self_tests']}
    attacked = {key for key in tests if key[1] == 'PGD'}
    assert attacked == {
        ('gray-box', 'PGD', 'none'), ('adaptive', 'PGD', 'random'), (eot, 'PGD', 'random'),
        ('adaptive', 'PGD', 'random, fixed seed'),
    }  # fmt: skip
    assert all(test['test'] == 'binarization' and test['images'] <= 2 for test in tests.values())
    # Steps of a thousandth of a pixel find nothing.
    assert tests['gray-box', 'PGD', 'none']['rate'] == 0
    assert 'attack too weak to tell' in done.out and done.out.index('worst case of each defense') < done.out.index(
        'perturb'
    )

    kept = {path: path.stat().st_mtime_ns for path in [*run.glob('self_tests/*'), *run.glob('cells/*')]}
    assert len(list(run.glob('self_tests/*'))) == len(tests) == 8
    again = run_tool('robustness', variant('tested', TESTED), '--work-dir', run)
    assert again.code == 0 and {path: path.stat().st_mtime_ns for path in kept} == kept, 'nothing is run again'
    assert _report(run) == report
    # Another number of images is another self-test, of the same cells.
    more = run_tool('robustness', variant('more', TESTED.replace('num_images=2', 'num_images=1')), '--work-dir', run)
    assert more.code == 0, more.err[-3000:]
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items() if path.parent.name == 'cells')
    assert len(list(run.glob('self_tests/*'))) == 8 and not any(p.exists() for p in kept if p.parent.name != 'cells')
