"""The first table: one row per defense, the lowest number of each kind of attacker, and who did it."""

from __future__ import annotations

from typing import Any

import pytest

from mmadvdefense.evaluation.report.grid_tables import markdown, report_tables, terminal
from mmadvdefense.evaluation.report.html_page import write_page
from mmadvdefense.evaluation.report.summary_table import summary_table

REASON = 'Step has no gradient to follow; use adaptive-bpda'


@pytest.fixture
def report(make_result) -> dict[str, Any]:
    """A defense that looks good to all but one attacker, and none."""
    transfer = 'transfer from resnet56'
    cells = [
        ('clean', make_result('none')),
        ('gray-box', make_result('none', 'gray-box', 'FGSM', '1100', 8.0)),
        ('gray-box', make_result('none', 'gray-box', 'PGD', '0010', 8.0)),
        (transfer, make_result('none', transfer, 'PGD', '1010', 8.0)),
        ('clean', make_result('step', rights='1110')),
        ('gray-box', make_result('step', 'gray-box', 'FGSM', '1100', 8.0)),
        ('gray-box', make_result('step', 'gray-box', 'PGD', '0111', 8.0)),
        (transfer, make_result('step', transfer, 'PGD', '1110', 8.0)),
        ('adaptive', make_result('step', 'adaptive', 'PGD', reason=REASON)),
        ('adaptive-bpda', make_result('step', 'adaptive-bpda', 'FGSM', '1110', 8.0)),
        ('adaptive-bpda', make_result('step', 'adaptive-bpda', 'PGD', '0001', 8.0)),
        ('query', make_result('step', 'query', 'Square', '1100', 8.0)),
    ]
    both = [['gray-box', 'FGSM'], ['gray-box', 'PGD']]
    names = ('gray-box', transfer, 'adaptive', 'adaptive-bpda', 'query')
    threats = {
        title: {'name': title.split()[0], 'attacks': ['FGSM', 'PGD', 'Square'], 'meaning': '.'} for title in names
    }
    return {
        'complete': True,
        'config': 'tiny.py',
        'software': {},
        'task': 'classification',
        'metric': 'accuracy/top1',
        'seed': 0,
        'quantized': False,
        'layers': [],
        'target': {'config': 'a.py', 'checkpoint': 'a.pth', 'weights': None},
        'data': {'type': 'Tiny', 'images': 4},
        'defenses': {'none': {'purifier': None}, 'step': {'purifier': 'Step'}},
        'methods': {'none': ['none'], 'step': ['step']},
        'attacks': {name: {'title': name} for name in ('FGSM', 'PGD', 'Square')},
        'threat_models': threats,
        'cells': [{'threat_model': threat, **result.as_dict()} for threat, result in cells],
        'worst_case': [],
        'worst_case_by_attacker': [
            {'attacker': 'gray-box', 'defense': 'step', 'attacks': both, 'correct': 25.0},
            {'attacker': 'transfer', 'defense': 'step', 'attacks': [[transfer, 'PGD']], 'correct': 75.0},
        ],
        'comparisons': [],
    }  # fmt: skip


def _rows(report: dict[str, Any]) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in summary_table(report).rows[1:]}


def test_the_lowest_number_and_its_attack(report):
    assert summary_table(report).rows[0] == [
        'accuracy/top1 (%)', 'clean', 'worst gray-box', 'worst transfer', 'worst defense-aware'
    ]  # fmt: skip
    assert _rows(report) == {
        # Without a purifier there is nothing else to know.
        'none': ['100.00', '25.00 (PGD)', '50.00 (PGD)', '25.00 (PGD, gray-box)'],
        'step': ['75.00', '50.00 (FGSM; all attacks 25.00)', '75.00 (PGD)', '25.00 (PGD, adaptive-bpda)'],
    }


def test_it_comes_first_everywhere(report, tmp_path):
    assert report_tables(report)[0].title == 'worst case of each defense'
    assert terminal(report).startswith('worst case of each defense\n')
    page = markdown(report)
    assert page.index('## worst case of each defense') < page.index('## gray-box')
    write_page(tmp_path / 'report.html', {**report, 'cautions': ['step: possibly a hidden gradient: <why>']})
    html = (tmp_path / 'report.html').read_text()
    assert html.index('<h2>worst case of each defense</h2>') < html.index('<h2>gray-box</h2>')
    assert html.count('25.00 (PGD, adaptive-bpda)') == 1
    caution = '<p><strong>Caution</strong>: step: possibly a hidden gradient: &lt;why&gt;.</p>'
    assert html.index('</table>') < html.index(caution) < html.index('<h2>gray-box</h2>')


def test_places_without_numbers(report):
    report['cells'] = [c for c in report['cells'] if c['threat_model'] in ('clean', 'gray-box', 'adaptive')]
    assert _rows(report)['step'][2:] == ['', 'cannot run']
    report['cells'][-1] |= {'reason': 'IndexError: 12', 'error': 'Traceback'}
    assert _rows(report)['step'][3] == 'failed'


def test_other_tasks(report):
    """The share of correct images is in another unit than the mean IoU, and a fraction is shown in per cent."""
    report['task'], report['metric'] = 'segmentation', 'mIoU'
    for number, cell in enumerate(report['cells']):
        cell['metrics'] = {'mIoU': 10.0 * (number + 1)} if cell['reason'] is None else {}
    assert _rows(report)['step'] == ['50.00', '60.00 (FGSM)', '80.00 (PGD)', '100.00 (FGSM, adaptive-bpda)']
    report['metric'] = 'pascal_voc/mAP'
    for number, cell in enumerate(report['cells']):
        cell['metrics'] = {'pascal_voc/mAP': (number + 1) / 100} if cell['reason'] is None else {}
    assert _rows(report)['step'][1] == '6.00 (FGSM)'
    report['cells'][5]['metrics']['pascal_voc/mAP'] = None
    assert _rows(report)['step'][1] == '7.00 (PGD)', 'an undefined number is no lowest one'


def test_several_trainings(report, make_result):
    for cell in report['cells']:
        cell['defense'] = cell['defense'].replace('step', 'step #1')
    second = [
        ('clean', make_result('step #2', rights='1100')),
        ('gray-box', make_result('step #2', 'gray-box', 'FGSM', '1111', 8.0)),
        ('gray-box', make_result('step #2', 'gray-box', 'PGD', '0100', 8.0)),
    ]
    report['cells'] += [{'threat_model': threat, **result.as_dict()} for threat, result in second]
    report['defenses'] |= {'step #1': {'purifier': 'Step'}, 'step #2': {'purifier': 'Step'}}
    report['methods']['step'] = ['step #1', 'step #2']
    # FGSM 50 and 100, PGD 75 and 25: the lower mean, with the deviation of its two numbers.
    assert _rows(report)['step'] == ['62.50 ± 17.68', '50.00 ± 35.36 (PGD)', 'cannot run', 'cannot run']


def test_self_tests_stand_beside_the_numbers(report):
    test = {'threat_model': 'adaptive-bpda', 'defense': 'step', 'test': 'binarization', 'images': 50, 'reason': None}
    report['self_tests'] = [
        {**test, 'attack': 'PGD', 'rate': 0.94}, {**test, 'attack': 'FGSM', 'rate': 0.95},
        {**test, 'attack': 'Other', 'rate': None, 'images': 0, 'reason': 'Other has no ball'},
    ]  # fmt: skip
    assert _rows(report)['step'][3] == '25.00 (PGD, adaptive-bpda; self-test 0.94; attack too weak to tell)'
    page = markdown(report)
    assert '25.00 (self-test 0.94; attack too weak to tell)' in page and '75.00 (self-test 0.95) ' in page
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in page.splitlines() if '| binarization' in line]
    assert [row[3:] for row in cells] == [
        ['binarization', '50', '0.94', 'attack too weak to tell'],
        ['binarization', '50', '0.95', ''],
        ['binarization', '0', '-', 'Other has no ball'],
    ]


def test_random_defenses(report, make_result):
    for cell, worst in zip([c for c in report['cells'] if c['defense'] == 'step' and c['reason'] is None], (50, 25, 0)):
        cell['scores']['draws'] = {'number': 10, 'worst': float(worst), 'majority': 75.0}
    fixed = make_result('step, fixed seed', 'gray-box', 'FGSM', '1000', 8.0)
    report['cells'].append({'threat_model': 'gray-box', **fixed.as_dict()})
    report['defenses']['step, fixed seed'] = {'purifier': 'Step'}
    report['methods']['step, fixed seed'] = ['step, fixed seed']
    rows = _rows(report)
    assert rows['step'][1].startswith(
        '50.00 (FGSM; one draw; correct in all of 10 draws 25.00, by majority 75.00; all attacks'
    )
    assert rows['step, fixed seed'][1] == '25.00 (FGSM)'
    page = markdown(report)
    assert '- step: one draw of a random defense, which flatters it; more draws are in a table of their own' in page
    line = next(
        line for line in page.splitlines() if line.startswith('| gray-box     | FGSM   | step') and '| 10' in line
    )
    assert [cell.strip() for cell in line.split('|')[4:-1]] == ['50.00', '25.00', '75.00', '10', '25.00']
