"""What a reader of the table sees."""

from __future__ import annotations

from typing import Optional

import pytest

from mmadvdefense.evaluation import Condition, Result, robustness_table


def _result(name: str, purifier: bool, accuracy: float, size: float = 0.0, psnr: Optional[float] = None) -> Result:
    measured = {'attack/queries_mean': 40.26} if size else {}
    measured |= {
        'perturbation/linf_mean': size,
        'perturbation/linf_max': size + 0.25,
        'perturbation/l2_mean': 10 * size,
        'perturbation/l2_max': 10 * size + 1,
        'purified/psnr': psnr,
    }
    return Result(Condition(name), purifier, {'accuracy/top1': accuracy, 'other': 5.0}, measured)


RESULTS = [
    _result('clean', False, 91.204),
    _result('clean', True, 90.0, psnr=35.26),
    _result('PGD, gray-box', False, 3.1, 7.5, 30.04),
    _result('PGD, gray-box', True, 71.456, 7.5, 33.33),
]


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines() if line[0] == '|']


def test_one_row_a_condition():
    rows = _rows(robustness_table(RESULTS))
    assert rows[0][:3] == ['images', 'accuracy/top1', 'accuracy/top1']
    assert rows[1][1:3] == ['no purifier', 'purifier']
    assert ['clean', '91.20', '90.00', '0.00 / 0.25', '0.00 / 1.00', 'equal / 35.3', '-'] in rows
    assert ['PGD, gray-box', '3.10', '71.46', '7.50 / 7.75', '75.00 / 76.00', '30.0 / 33.3', '40.3'] in rows


def test_a_patch_has_its_area_in_place_of_linf():
    patch = _result('DPatch, gray-box', False, 3.1, 7.5, 30.04)
    patch.measured |= {'perturbation/area_mean': 0.0478, 'perturbation/area_max': 0.05}
    table = robustness_table([*RESULTS, patch])
    assert '4.78 / 5.00 % of the pixels' in table and '7.50 / 7.75' in table
    row = next(row for row in _rows(table) if row[0] == 'DPatch, gray-box')
    assert row[3:5] == ['4.78 / 5.00 % of the pixels', '75.00 / 76.00']
    assert _rows(table)[0][3] == 'L-inf (0-255) or changed pixels'
    assert _rows(robustness_table([*RESULTS[:2], patch]))[0][3] == 'changed pixels'
    assert _rows(robustness_table(RESULTS))[0][3] == 'L-inf (0-255)'


def test_without_a_purifier():
    rows = _rows(robustness_table([result for result in RESULTS if not result.purifier]))
    assert ['PGD, gray-box', '3.10', '-', '7.50 / 7.75', '75.00 / 76.00', '30.0 / -', '40.3'] in rows


@pytest.mark.parametrize(('metric', 'shown'), [(None, '91.20'), ('other', '5.00')])
def test_metric(metric, shown):
    assert shown in robustness_table(RESULTS[:1], metric)


def test_fractions_are_per_cent_here_too():
    """A COCO AP of 0.153 is not 0.15."""
    row = _result('clean', False, 91.204)
    row.metrics = {'coco/bbox_mAP': 0.2, 'coco/bbox_mAP_50': 0.153}
    rows = _rows(robustness_table([row]))
    assert rows[0][1] == 'coco/bbox_mAP_50 (%)' and ['clean', '15.30', '-'] in [row[:3] for row in rows]
    row.metrics = {'own': 0.1534}
    assert '0.1534' in robustness_table([row])


def test_what_failed_has_a_row_and_a_line():
    wrong = Result(Condition('APGDT, gray-box'), True, reason='IndexError: 12', error='Traceback ...', defense='JPEG')
    table = robustness_table([*RESULTS[:2], Result(Condition('APGDT, gray-box'), False, reason='no gradient'), wrong])
    assert ['APGDT, gray-box', '-', '-', '-', '-', '- / -', '-'] in _rows(table)
    assert table.splitlines()[-2:] == [
        'APGDT, gray-box, none: cannot run: no gradient',
        'APGDT, gray-box, JPEG: failed: IndexError: 12',
    ]


def test_images_without_truth_are_counted_below():
    row = _result('clean', False, 91.204)
    row.scores = {'images': 12, 'without_truth': 3, 'unscored': None}
    assert robustness_table([row]).splitlines()[-1] == 'single images: 3 of 12 have no ground truth and are left out'
    row.scores = {'images': 12, 'without_truth': 12, 'unscored': 'PanopticFPN predicts no boxes'}
    assert robustness_table([row]).splitlines()[-1] == 'single images are not scored: PanopticFPN predicts no boxes'
