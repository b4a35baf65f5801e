"""Natural corruptions in a report: each of them, their mean, and who makes them worse."""

from __future__ import annotations

import pytest

from mmadvdefense.evaluation.report.corruptions import corruption_notes, corruption_table
from mmadvdefense.evaluation.report.grid_tables import terminal
from mmadvdefense.evaluation.report.tables import robustness_table
from mmadvdefense.evaluation.results import Condition, Result

METRIC = 'accuracy/top1'
MEASURED = {f'perturbation/{norm}_{what}': 1.0 for norm in ('linf', 'l2') for what in ('mean', 'max')}
MEASURED['purified/psnr'] = 30.0


def cell(defense: str, attack: str, value: float, threat: str = 'natural', reason: str | None = None) -> dict:
    metrics = {} if reason else {METRIC: value}
    condition = {'name': attack, 'attack': None if attack == 'clean' else {'type': 'Corruption'}, 'threat_model': None}
    return {
        'threat_model': threat, 'defense': defense, 'condition': condition, 'metrics': metrics, 'reason': reason,
        'error': None, 'scores': {'score': None, 'changed': None}, 'measured': dict(MEASURED), 'amplification': {},
    }  # fmt: skip


@pytest.fixture
def report():
    numbers = {
        'none': (90.0, 60.0, 40.0),
        'jpeg': (88.0, 62.0, 45.0),
        'align #1': (86.0, 50.0, 42.0),
        'align #2': (84.0, 46.0, 46.0),
    }
    cells = []
    for defense, (clean, fog, snow) in numbers.items():
        cells += [cell(defense, 'clean', clean, 'clean'), cell(defense, 'fog', fog), cell(defense, 'snow', snow)]
    purifiers = {name: {'purifier': None if name == 'none' else 'P', 'config': {}} for name in numbers}
    return {
        'metric': METRIC,
        'layers': [],
        'task': 'classification',
        'defenses': purifiers,
        'methods': {'none': ['none'], 'jpeg': ['jpeg'], 'align': ['align #1', 'align #2']},
        'attacks': {'fog': {}, 'snow': {}},
        'threat_models': {'natural': {'name': 'natural', 'attacks': ['fog', 'snow'], 'meaning': 'is nobody'}},
        'cells': cells,
        'worst_case': [],
        'comparisons': [],
    }


def test_the_mean_and_each_of_them(report):
    """The mean of align: (46 + 46) / 2 of the means of two trainings."""
    assert corruption_table(report, 'natural').rows == [
        ['accuracy/top1 (%)', 'none', 'jpeg', 'align'],
        ['clean', '90.00', '88.00 (-2.00)', '85.00 ± 1.41 (-5.00)'],
        ['mean of 2 corruptions', '50.00', '53.50 (+3.50)', '46.00 ± 0.00 (-4.00)'],
        ['fog', '60.00', '62.00 (+2.00)', '48.00 ± 2.83 (-12.00)'],
        ['snow', '40.00', '45.00 (+5.00)', '44.00 ± 2.83 (+4.00)'],
    ]


def test_who_makes_them_worse(report):
    (line,) = corruption_notes(report)
    assert line == 'align makes natural corruptions worse: on average 46.00, against 50.00 of none'
    report['cells'][-1]['metrics'][METRIC] = 58.0
    assert corruption_notes(report) == [], '49 against 50 may be chance'
    report['cells'][-1]['metrics'][METRIC] = 46.0
    text = terminal(report)
    assert text.count(line) == 1 and 'mean of 2 corruptions' in text
    assert 'worst case' not in text.split('natural')[0].replace('worst case of each defense', '')


def test_what_did_not_run(report):
    report['cells'][4] = cell('jpeg', 'fog', 0.0, reason='too small')
    rows = corruption_table(report, 'natural').rows
    assert rows[2][2] == '-' and rows[3][2] == 'cannot run: too small' and rows[4][2] == '45.00 (+5.00)'
    report['cells'] = [own for own in report['cells'] if own['defense'] != 'none']
    assert corruption_table(report, 'natural').rows[1] == ['clean', '88.00', '85.00 ± 1.41'], 'nothing to compare with'
    assert corruption_notes(report) == []


def test_the_mean_in_the_table_of_one_model():
    config = dict(type='Corruption', corruption='fog')
    results = [Result(Condition('clean'), False, {METRIC: 90.0}, MEASURED)]
    results += [
        Result(Condition(name, config, 'natural'), purifier, {METRIC: value}, MEASURED)
        for name, value, purifier in (
            ('fog', 60.0, False),
            ('fog', 50.0, True),
            ('snow', 40.0, False),
            ('snow', 41, True),
        )
    ]
    lines = [[part.strip() for part in line.split('|')[1:-1]] for line in robustness_table(results).splitlines()]
    assert ['mean of 2 corruptions', '50.00', '45.50', '-', '-', '-', '-'] in lines
    assert 'mean of' not in robustness_table(results[:2]), 'one is no mean'
