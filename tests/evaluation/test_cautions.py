"""Numbers that say less than they seem to say so themselves."""

from __future__ import annotations

from mmadvdefense.evaluation import Condition, Result, robustness_table
from mmadvdefense.evaluation.cautions import cautions
from mmadvdefense.evaluation.report.grid_tables import markdown, terminal


def test_a_source_far_below_the_target():
    assert cautions({'source/resnet56': 46.0}, 100, [91.0, 80.0]) == []
    (line,) = cautions({'source/resnet56': 45.0, 'source/other': 90.0}, 100, [91.0, 80.0])
    assert line.startswith('the source resnet56 scores 45.0 % on the clean images, the target 91.0 %')
    assert cautions({'source/resnet56': 0.0}, 100) == [], 'nothing to compare with'


def test_gradients_that_were_not_finite():
    assert cautions({'attack/nonfinite_images': 0}, 100) == []
    (line,) = cautions({'attack/nonfinite_images': 12}, 100)
    assert line.startswith('gradients or scores were NaN or infinite on 12 of 100 images, and zeros took their place')


def _result(name: str, purifier: bool, score: float, **measured: float) -> Result:
    sizes = {f'perturbation/{norm}_{what}': 8.0 for norm in ('linf', 'l2') for what in ('mean', 'max')}
    attack = dict(type='PGD') if measured else None
    threat = dict(name='transfer', source=dict(config='x.py', checkpoint='x.pth'))
    condition = Condition(name, attack, threat if attack else None)
    measured = {**sizes, 'purified/psnr': 30.0, **measured}
    return Result(condition, purifier, {'accuracy/top1': score}, measured, scores={'images': 10, 'score': score})


def test_the_table_of_one_model():
    rows = [
        _result('clean', False, 90.0),
        _result('PGD', False, 40.0, **{'source/resnet56': 34.0, 'attack/nonfinite_images': 2}),
        _result('PGD', True, 60.0, **{'source/resnet56': 34.0, 'attack/nonfinite_images': 2}),
    ]
    text = robustness_table(rows)
    lines = text.splitlines()
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines if line.startswith('|')]
    assert [row[-1] for row in cells] == ['source, clean', 'mean score (%)', '-', '34.00']
    below = lines[-2:]
    assert below[0].startswith('PGD: gradients or scores were NaN or infinite on 2 of 10 images')
    assert below[1].startswith('PGD: the source resnet56 scores 34.0 % on the clean images, the target 90.0 %')
    assert 'source' not in robustness_table(rows[:1])


def test_the_tables_of_a_grid(make_result):
    attacked = make_result('none', 'transfer from resnet56', 'PGD', '0011', 8.0)
    attacked.measured['source/resnet56'] = 50.0
    report = {
        'config': 'tiny.py',
        'metric': 'accuracy/top1',
        'complete': True,
        'quantized': False,
        'seed': 0,
        'layers': [],
        'data': {'type': 'Tiny', 'images': 4},
        'methods': {'none': ['none']},
        'defenses': {'none': {'purifier': None}},
        'attacks': {'PGD': {'title': 'PGD (L-inf 8)'}},
        'threat_models': {
            'transfer from resnet56': {'name': 'transfer', 'meaning': 'has another model', 'attacks': ['PGD']}
        },
        'cells': [
            {'threat_model': 'clean', **make_result('none').as_dict()},
            {'threat_model': 'transfer from resnet56', **attacked.as_dict()},
        ],
        'worst_case': [],
        'comparisons': [],
        'cautions': ['transfer from resnet56, PGD: why'],
    }
    page = markdown(report)
    assert '| source resnet56, mean score (%) | 50.00  | -     |' in page
    assert '- **Caution**: transfer from resnet56, PGD: why' in page
    assert terminal(report).endswith('\n\ntransfer from resnet56, PGD: why')
