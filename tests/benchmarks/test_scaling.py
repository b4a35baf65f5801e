"""What the benchmarks make of their times."""

from __future__ import annotations

import pytest

pytest.importorskip('mmpretrain')


def test_exponents(load_script):
    scaling = load_script('scaling')
    assert scaling.exponent([1, 2, 4, 8], [3, 6, 12, 24]) == pytest.approx(1)
    assert scaling.exponent([10, 100, 1000], [5, 5, 5]) == pytest.approx(0)
    assert scaling.exponent([1, 10], [1, 1000]) == pytest.approx(3)


def test_ratios(load_script):
    """To the fastest of the others, turn by turn."""
    speed = load_script('attack_speed')
    seconds = {'ours': [2.0, 4.0, 3.0], 'floor': [1.0, 2.0, 2.0], 'slow': [9.0, 9.0, 9.0], 'fast': [2.0, 5.0, 4.0]}
    row = speed.row_of('PGD', 16, seconds)
    assert row == ['PGD', '16', '3000.0', '4000.0', 'fast', '0.800', '2.000']
