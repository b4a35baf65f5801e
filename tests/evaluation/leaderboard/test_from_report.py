"""Rows are what the reports say, and only reports whose command makes their numbers again become rows."""

from __future__ import annotations

import pytest
from scipy import stats

from mmadvdefense.errors import UsageError
from mmadvdefense.evaluation.leaderboard.from_report import rows_from_reports

from .conftest import PASSES


def test_rows_in_the_form_of_robustbench(make_report):
    none, bits, align = rows_from_reports([make_report()], PASSES)
    assert [row.name for row in (none, bits, align)] == ['none_tiny', 'bits_tiny', 'align_tiny']
    assert (bits.clean_acc, bits.autoattack_acc, bits.threat_model, bits.eps) == (80.0, 0.0, 'Linf', 8.0)
    assert (bits.number_forward_passes, bits.footnote, bits.reference.title) == (
        1,
        'Not differentiable.',
        'Feature Squeezing',
    )
    # All attacks together, and the strongest alone.
    assert (bits.gray_box_acc, bits.gray_box_attack) == (10.0, 'PGD, gray-box')
    assert (bits.adaptive_acc, bits.adaptive_attack) == (0.0, 'AutoAttack, adaptive-bpda')
    assert bits.transfer_acc is bits.transfer_attack is bits.adaptive_acc_8bit is None
    # A gray-box attacker knows all there is to know where there is no defense.
    assert (none.adaptive_acc, none.adaptive_attack, none.autoattack_acc) == (0.0, 'AutoAttack, gray-box', 0.0)
    assert align.autoattack_acc == 6.0, 'not the 84 of the attacker who does not know it'
    assert [one.title for one in bits.attacks] == [
        'clean',
        'PGD, gray-box',
        'AutoAttack, gray-box',
        'AutoAttack, adaptive-bpda',
    ]
    low, high = stats.binomtest(6, 50).proportion_ci(method='exact')
    assert bits.attacks[1].interval == pytest.approx([100 * low, 100 * high], abs=1e-3)
    assert (bits.linf, bits.l2, bits.images, bits.seed, bits.digest) == (8.0, 365.0, 50, 0, '0123')
    assert bits.receipt.command == 'python tools/robustness.py grid.py' and bits.receipt.files == {}
    assert bits.receipt.config == {'data_preprocessor': {'type': 'BitDepthPurifier', 'bits': 3}}
    assert bits.receipt.target.sha256 == 'a' * 64 and 'mmdet' not in bits.receipt.software
    (digest,) = align.receipt.files.values()
    assert align.receipt.files.keys() == {'zoo://align_resnet20_cifar10'} and digest.startswith('aae4b112')


def test_images_of_8_bits(make_report):
    def weaker(report):
        for row in report['worst_case_by_attacker']:
            row['correct'] = min(row['correct'] + 2, 100)
        for cell in report['cells']:
            cell['metrics'] = {'accuracy/top1': min(cell['metrics']['accuracy/top1'] + 2, 100)}

    rounded = make_report(weaker, quantized=True, scale='eight_bit')
    rows = rows_from_reports([rounded, make_report()], PASSES)
    assert [row.adaptive_acc_8bit for row in rows] == [2.0, 2.0, 8.0]
    assert rows[0].receipt.command_8bit == 'python tools/robustness.py grid.py --scale eight_bit'
    with pytest.raises(UsageError, match='^grid.py: add its report of images that are not rounded together'):
        rows_from_reports([rounded], PASSES)


def _of_other_bits(report):
    report['defenses']['bits']['config'] = dict(data_preprocessor=dict(type='BitDepthPurifier', bits=4))


def _of_other_steps(report):
    report['attacks']['PGD']['config']['steps'] = 1


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(complete=False), 'report_0.json is not the report of a finished grid'),
        (dict(config='gone.py'), 'report_0.json is of gone.py, which is not there'),
        (dict(seed=3), 'was made with other seed than grid.py states'),
        (dict(quantized=True), 'was made with other quantize than grid.py states'),
        (dict(data=dict(images=20, digest='0')), 'was made with other num_images than grid.py states'),
        (dict(change=_of_other_bits), 'was made with other defenses than grid.py states'),
        (dict(change=_of_other_steps), 'was made with other attacks than grid.py states'),
    ],
)
def test_reports_that_no_command_makes_again(make_report, change, message):
    with pytest.raises(UsageError, match=message):
        rows_from_reports([make_report(**change)], PASSES)


def test_rows_that_claim_nothing(make_report, clone):
    def ignorant(report):
        report['cells'] = [cell for cell in report['cells'] if cell['threat_model'] != 'adaptive-bpda']

    with pytest.raises(UsageError, match="'bits' has no number under an attacker who knows it"):
        rows_from_reports([make_report(ignorant)], PASSES)

    def of_two_sizes(report):
        report['cells'][0]['condition']['attack']['eps'] = 4

    with pytest.raises(UsageError, match='share one norm .* and one eps, got linf 4, linf 8'):
        rows_from_reports([make_report(of_two_sizes)], PASSES)
    text = (clone / 'grid.py').read_text()
    (clone / 'grid.py').write_text(text.replace('leaderboard =', 'board ='))
    with pytest.raises(UsageError, match='grid.py has no leaderboard = dict'):
        rows_from_reports([make_report()], PASSES)
