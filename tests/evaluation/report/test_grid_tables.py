"""The text of a grid's tables, and the page that is made of them."""

from __future__ import annotations

from typing import Any

import pytest

from mmadvdefense.evaluation.report.grid_tables import cell_outcome, markdown, notes, terminal
from mmadvdefense.evaluation.report.tables import Table

REASON = 'Step has no gradient to follow; use adaptive-bpda'


@pytest.fixture
def report(make_result) -> dict[str, Any]:
    """Two defenses, two attacks and two threat models, of which one is about the purifier."""
    layers = {'backbone.layer1': 0.25, 'head.fc': None}
    cells = [
        ('clean', make_result('none', rights='1111')),
        ('gray-box', make_result('none', 'gray-box', 'FGSM', '1100', 8.0)),
        ('gray-box', make_result('none', 'gray-box', 'PGD', '0000', 7.5, 10, amplification=layers)),
        ('clean', make_result('step', rights='1110')),
        ('gray-box', make_result('step', 'gray-box', 'FGSM', '1110', 8.0)),
        ('gray-box', make_result('step', 'gray-box', 'PGD', '0111', 7.5, 10)),
        ('adaptive', make_result('step', 'adaptive', 'PGD', reason=REASON)),
    ]
    test = {'threat_model': 'gray-box', 'attack': 'PGD', 'defenses': ['none', 'step']}
    return {
        'complete': True,
        'config': 'configs/robustness/tiny.py',
        'metric': 'accuracy/top1',
        'seed': 3,
        'quantized': False,
        'layers': list(layers),
        'data': {'type': 'Tiny', 'images': 4},
        'defenses': {'none': {'purifier': None}, 'step': {'purifier': 'Step'}},
        'methods': {'none': ['none'], 'step': ['step']},
        'attacks': {'FGSM': {'title': 'FGSM (L-inf 8)'}, 'PGD': {'title': 'PGD (L-inf 8, 10 steps)'}},
        'threat_models': {
            'gray-box': {'name': 'gray-box', 'attacks': ['FGSM', 'PGD'], 'meaning': 'has the target'},
            'adaptive': {'name': 'adaptive', 'attacks': ['PGD'], 'meaning': 'has the purifier'},
        },
        'cells': [{'threat_model': threat, **result.as_dict()} for threat, result in cells],
        'worst_case': [
            {'threat_model': 'gray-box', 'defense': 'none', 'attacks': ['FGSM', 'PGD'], 'correct': 0.0},
            {'threat_model': 'gray-box', 'defense': 'step', 'attacks': ['FGSM', 'PGD'], 'correct': 50.0},
        ],
        'comparisons': [{**test, 'difference': -0.75, 't': -3.0, 'p': 0.0577, 'pairs': 4}],
    }


def test_terminal(report):
    assert (
        terminal(report)
        == """\
worst case of each defense
+-------------------+--------+----------------+----------------+----------------------+
| accuracy/top1 (%) | clean  | worst gray-box | worst transfer | worst defense-aware  |
+-------------------+--------+----------------+----------------+----------------------+
| none              | 100.00 | 0.00 (PGD)     |                | 0.00 (PGD, gray-box) |
| step              | 75.00  | 75.00 (FGSM)   |                | cannot run           |
+-------------------+--------+----------------+----------------+----------------------+

gray-box
+-------------------+--------+-------+-------+------------+
| accuracy/top1 (%) | clean  | FGSM  | PGD   | worst case |
+-------------------+--------+-------+-------+------------+
| none              | 100.00 | 50.00 | 0.00  | 0.00       |
| step              | 75.00  | 75.00 | 75.00 | 50.00      |
+-------------------+--------+-------+-------+------------+

adaptive
+-------------------+-------+-------------------------+
| accuracy/top1 (%) | clean | PGD                     |
+-------------------+-------+-------------------------+
| step              | 75.00 | cannot run: Step has no |
|                   |       | gradient to follow; use |
|                   |       | adaptive-bpda           |
+-------------------+-------+-------------------------+

perturbations, in pixels (0-255)
+--------------+--------+---------+------------------+---------------+--------------+
| threat model | attack | defense | L-inf mean / max | L2 mean / max | queries mean |
+--------------+--------+---------+------------------+---------------+--------------+
| gray-box     | FGSM   | all     | 8.00 / 8.00      | 8.00 / 8.00   | 2.0          |
| gray-box     | PGD    | all     | 7.50 / 7.50      | 7.50 / 7.50   | 10.0         |
+--------------+--------+---------+------------------+---------------+--------------+

none has no purifier: gray-box and adaptive are the same there, and shown once, as gray-box"""
    )


def test_page(report):
    page = markdown(report)
    assert page.startswith(
        '# Robustness: configs/robustness/tiny.py\n\n'
        '4 images of Tiny, seed 3, adversarial images not rounded.\n\n'
        '- **gray-box**: the attacker has the target\n'
        '- **adaptive**: the attacker has the purifier\n'
        '- FGSM: FGSM (L-inf 8)\n'
        '- PGD: PGD (L-inf 8, 10 steps)\n'
        '- none has no purifier: gray-box and adaptive are the same there, and shown once, as gray-box\n\n'
        '## worst case of each defense\n\n'
        '| accuracy/top1 (%) | clean  | worst gray-box | worst transfer | worst defense-aware  |\n'
    )
    assert (
        '\n\n## gray-box\n\n'
        '| accuracy/top1 (%) | clean  | FGSM  | PGD   | worst case |\n'
        '|-------------------|--------|-------|-------|------------|\n'
        '| none              | 100.00 | 50.00 | 0.00  | 0.00       |\n'
    ) in page
    assert f'| step              | 75.00 | cannot run: {REASON} |' in page
    assert (
        '## paired t-test over images, gray-box\n\n'
        '| mean score, difference (p) | PGD              |\n'
        '|----------------------------|------------------|\n'
        '| none - step                | -75.00 (5.8e-02) |\n'
    ) in page
    assert '| PGD    | none    | 0.2500          | infinite |' in page
    assert '| PGD    | step    | 75.00       | 75.00 [0.00, 100.00]          | -' in page
    assert 'Not complete' not in page
    assert '**Not complete**' in markdown({**report, 'complete': False})


def test_errors_of_detections(report):
    assert 'TIDE' not in markdown(report)
    for number, cell in enumerate(report['cells'][:3]):
        cell['scores']['errors'] = {'detections': 10 + number, 'missed': number}
    page = markdown(report)
    title = '## detections and their errors by type (TIDE), gray-box\n\n'
    assert f'{title}| attack | defense | detections | missed |\n' in page
    assert '| FGSM   | none    | 11         | 1      |\n| PGD    | none    | 12         | 2      |' in page


def test_who_has_no_purifier(report):
    """Is said where an adaptive attacker would do the same as a gray-box attacker."""
    assert len(notes(report)) == 1
    gray = {title: about for title, about in report['threat_models'].items() if title == 'gray-box'}
    assert notes({**report, 'threat_models': gray}) == []
    adaptive = {title: about for title, about in report['threat_models'].items() if title == 'adaptive'}
    assert notes({**report, 'threat_models': adaptive})[0].endswith('shown once, as adaptive')
    report['defenses']['none']['purifier'] = 'Step'
    assert notes(report) == []


def test_images_that_differ_have_rows_of_their_own(report):
    report['cells'][5]['measured']['perturbation/l2_mean'] = 9.0
    lines = [line for line in terminal(report).splitlines() if line.startswith('| gray-box     | PGD')]
    assert lines == [
        '| gray-box     | PGD    | none    | 7.50 / 7.50      | 7.50 / 7.50   | 10.0         |',
        '| gray-box     | PGD    | step    | 7.50 / 7.50      | 9.00 / 7.50   | 10.0         |',
    ]


@pytest.fixture
def two_trainings(report, make_result) -> dict[str, Any]:
    """``step`` trained twice; the second one is right on one image less, clean and attacked."""
    layers = report['layers']
    second = [
        ('clean', make_result('step #2', rights='1100')),
        ('gray-box', make_result('step #2', 'gray-box', 'FGSM', '1010', 8.0, amplification={layers[0]: 0.75})),
        ('gray-box', make_result('step #2', 'gray-box', 'PGD', '0011', 7.5, 10)),
        ('adaptive', make_result('step #2', 'adaptive', 'PGD', reason=REASON)),
    ]
    for cell in report['cells']:
        if cell['defense'] == 'step':
            cell['defense'] = 'step #1'
            if cell['condition']['name'] == 'FGSM':
                cell['amplification'] = {layers[0]: 0.25}
    report['cells'] += [{'threat_model': threat, **result.as_dict()} for threat, result in second]
    step = {'purifier': 'Step'}
    report['defenses'] = {'none': {'purifier': None}, 'step #1': step, 'step #2': step}
    report['methods'] = {'none': ['none'], 'step': ['step #1', 'step #2']}
    report['worst_case'][1]['defense'] = 'step #1'
    report['worst_case'].append({**report['worst_case'][1], 'defense': 'step #2', 'correct': 25.0})
    report['layers'] = layers[:1]
    return report


def test_several_trainings_are_one_row(two_trainings):
    lines = markdown(two_trainings).splitlines()
    # Standard deviations of two numbers 25 apart: 25 / sqrt(2).
    assert '| step              | 62.50 ± 17.68 | 62.50 ± 17.68 | 62.50 ± 17.68 | 37.50 ± 17.68 |' in lines
    assert '- step: mean ± standard deviation of 2 trainings' in lines
    assert f'| step              | 62.50 ± 17.68 | cannot run: {REASON} |' in lines
    assert '| FGSM   | step    | 0.5000 ± 0.3536 |' in lines, 'amplification'
    assert (
        '| PGD    | step #2 | 50.00       | 50.00 [0.00, 100.00]          | -                    | 30.0               |'
        in lines
    )


def test_perturbations_that_only_one_method_met_name_the_method(two_trainings):
    for cell in two_trainings['cells']:
        if cell['defense'].startswith('step') and cell['condition']['name'] == 'PGD' and cell['reason'] is None:
            cell['measured']['perturbation/l2_mean'] = 9.0
    lines = [line for line in terminal(two_trainings).splitlines() if line.startswith('| gray-box     | PGD')]
    assert [line.split('|')[3].strip() for line in lines] == ['none', 'step']


def test_perturbations_that_most_met_are_those_of_all_others(report, make_result):
    more = [make_result(f'filter {i}', 'gray-box', 'PGD', size=7.5, queries=10) for i in range(3)]
    report['cells'] += [{'threat_model': 'gray-box', **result.as_dict()} for result in more]
    for result in more:
        report['defenses'][result.defense], report['methods'][result.defense] = {'purifier': None}, [result.defense]
    report['cells'][5]['measured']['perturbation/l2_mean'] = 9.0
    lines = [line for line in terminal(report).splitlines() if line.startswith('| gray-box     | PGD')]
    assert [line.split('|')[3].strip() for line in lines] == ['all others', 'step']


def test_attacks_that_were_not_run_on_a_defense(report):
    report['cells'] = [c for c in report['cells'] if (c['defense'], c['condition']['name']) != ('step', 'FGSM')]
    row = next(row for row in report['worst_case'] if row['defense'] == 'step')
    row['attacks'] = [name for name in row['attacks'] if name != 'FGSM']
    lines = terminal(report).splitlines()
    title = next(i for i, line in enumerate(lines) if line.strip() == 'gray-box')
    found = [[part.strip() for part in line.strip('|').split('|')] for line in lines[title : title + 6] if '|' in line]
    assert found[0][2:] == ['FGSM', 'PGD', 'worst case']
    assert found[1][2] != '-' and found[1][4] != '-'
    assert found[2][0] == 'step' and found[2][2] == '-' and found[2][3] != '-' and found[2][4] == '-'


def test_attacks_that_no_threat_model_runs_are_not_named(report):
    report['attacks']['CW'] = {'title': 'CarliniWagner (L-inf 8)'}
    assert '- PGD: PGD' in markdown(report) and 'CarliniWagner' not in markdown(report)


def test_a_p_too_small_for_a_float(report):
    report['comparisons'][0]['p'] = 0.0
    assert '| none - step                | -75.00 (<1e-300) |' in markdown(report)


def test_before_anything_is_finished(report):
    empty = {**report, 'cells': [], 'worst_case': [], 'comparisons': [], 'complete': False}
    assert terminal(empty) == ''


@pytest.mark.parametrize(
    ('metric', 'value', 'shown'),
    [
        ('pascal_voc/mAP', 0.7254, '72.54'),
        ('coco/bbox_mAP', None, 'undefined'),
        ('mIoU', 43.206, '43.21'),
        ('coco/bbox_mAP', 0.153, '15.30'),
        ('cityscapes/mAP', 0.153, '15.30'),
        ('coco_panoptic/PQ', 43.206, '43.21'),
        ('own', 0.1534, '0.1534'),
        ('own', 1.534, '1.53'),
        ('own', 0.0, '0.00'),
    ],
)
def test_fractions_are_shown_in_per_cent(metric, value, shown):
    assert cell_outcome({'reason': None, 'metrics': {metric: value}}, metric) == shown


def test_markdown_cells_are_one_cell():
    assert Table('a', [['|f|', 'b'], ['1', '2']]).markdown().splitlines()[2] == '| \\|f\\| | b |'


def test_a_cell_that_failed(report):
    report['cells'][4] |= {'metrics': {}, 'scores': {}, 'reason': 'IndexError: 12', 'error': 'Traceback ...'}
    report['complete'] = False
    page = markdown(report)
    assert '| failed: IndexError: 12 |' in page
    assert '**1 cells failed**' in page and 'have not been run' not in page


def test_images_without_truth(report):
    for cell in report['cells'][:6]:
        cell['scores'] |= {'without_truth': 1, 'unscored': None}
    assert '\n1 images have no ground truth and are left out' in markdown(report)
    for cell in report['cells'][:6]:
        cell['scores'] |= {
            **dict.fromkeys(('correct', 'score', 'interval')), 'without_truth': 4, 'unscored': 'it has no boxes'
        }  # fmt: skip
    for row in report['worst_case']:
        row['correct'] = None
    page = markdown(report)
    assert '\nSingle images are not scored: it has no boxes.\n' in page and 'no ground truth' not in page
    assert '| none              | 100.00 | 50.00 | 0.00  | undefined  |' in page
    assert '| PGD    | none    | -           | -                             | -                    | 30.0' in page
