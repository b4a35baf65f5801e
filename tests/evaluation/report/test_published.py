"""Our numbers beside the published ones, in the published layout."""

from __future__ import annotations

import pytest

from mmadvdefense.evaluation.report.published import check_published, published_table

COLUMNS = {'clean': 'clean', 'PGD': 'TI-PGD', 'C&W': ['transfer from b', 'CW']}
ROWS = {'No Defense': [95.1, 2.1, 6.4], 'SAT': [65.7, None, 51.0], 'Ours': [90.7, 81.4, 90.6]}
PUBLISHED = dict(title='A paper, Table I', columns=COLUMNS, rows=ROWS)


def cell(defense, threat, attack, value, reason=None, psnr=None):
    return dict(
        defense=defense,
        threat_model=threat,
        condition=dict(name=attack),
        reason=reason,
        error=None,
        metrics={} if reason else {'mIoU': value},
        measured={'purified/psnr': psnr},
        scores={},
    )


@pytest.fixture
def report():
    """Two trainings of ours; the first threat model that runs an attack counts, unless one is named."""
    cells = [
        cell('No Defense', 'clean', 'clean', 94.0),
        cell('No Defense', 'transfer from a', 'TI-PGD', 1.1),
        cell('No Defense', 'gray-box', 'TI-PGD', 0.5),
        cell('No Defense', 'transfer from a', 'CW', 9.9),
        cell('No Defense', 'transfer from b', 'CW', 6.5),
        cell('Ours #1', 'clean', 'clean', 90.0, psnr=30.0),
        cell('Ours #2', 'clean', 'clean', 91.0, psnr=31.0),
        cell('Ours #1', 'transfer from a', 'TI-PGD', None, reason='it cannot'),
        cell('Ours #2', 'transfer from a', 'TI-PGD', 80.0),
    ]
    return dict(
        metric='mIoU',
        published=PUBLISHED,
        methods={'No Defense': ['No Defense'], 'Ours': ['Ours #1', 'Ours #2']},
        threat_models={'transfer from a': {}, 'transfer from b': {}, 'gray-box': {}},
        cells=cells,
    )


def test_numbers_and_differences(report):
    table = published_table(report)
    assert table.title == 'A paper, Table I: ours (published, difference)'
    assert table.rows == [
        ['mIoU (%)', 'clean', 'PGD', 'C&W'],
        ['No Defense', '94.0 (95.1, -1.1)', '1.1 (2.1, -1.0)', '6.5 (6.4, +0.1)'],
        ['SAT', '- (65.7)', '-', '- (51.0)'],
        ['Ours', '90.5 (90.7, -0.2)', '- (81.4)', '- (90.6)'],
    ]
    assert published_table({**report, 'published': None}).rows == []
    not_run = dict(PUBLISHED, columns={**COLUMNS, 'PGD': None})
    check_published(not_run, ['CW'])
    assert published_table({**report, 'published': not_run}).rows[1][2] == '- (2.1)'


def test_image_quality(report):
    report['published'] = dict(PUBLISHED, metric='psnr', rows={'Ours': [27.69, 25.52, 27.26]})
    assert published_table(report).rows[1] == ['Ours', '30.5 (27.7, +2.8)', '- (25.5)', '- (27.3)']
    assert published_table(report).rows[0][0] == 'PSNR (dB)'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(colums={}), "published has unknown 'colums'"),
        (dict(rows={}), "published has no 'rows'"),
        (dict(columns={'PGD': 'PGDD'}), "column 'PGD' names the attack 'PGDD'; known: TI-PGD, CW"),
        (dict(rows={'Ours': [1.0]}), "row 'Ours' has 1 numbers for the columns clean, PGD, C&W"),
        (dict(metric='ssim'), "metric is None or 'psnr', got 'ssim'"),
    ],
)
def test_mistakes(change, message):
    check_published(PUBLISHED, ['TI-PGD', 'CW'])
    with pytest.raises(ValueError, match=message):
        check_published({**PUBLISHED, **change}, ['TI-PGD', 'CW'])
