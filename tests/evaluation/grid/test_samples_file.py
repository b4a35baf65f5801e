"""The table of single images."""

from __future__ import annotations

import csv
from types import SimpleNamespace

from mmadvdefense.evaluation.grid.runner import write_samples


def test_the_area_is_there_where_it_is_a_budget(make_result, tmp_path):
    results = [make_result('none'), make_result('none', 'gray-box', 'DPatch', size=3.0)]
    finished = [
        (SimpleNamespace(threat=name, condition=r.condition, defense='none'), r) for name, r in zip('ab', results)
    ]
    for area in (None, [0.04, 0.05, 0.05, 0.05]):
        if area is not None:
            results[1].samples['area'] = area
        write_samples(tmp_path / 'samples.csv', finished)
        with open(tmp_path / 'samples.csv') as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 8 and ('area' in rows[0]) == (area is not None)
    assert [row['area'] for row in rows] == [''] * 4 + ['0.04', '0.05', '0.05', '0.05']
    assert list(rows[0])[-6:] == ['linf', 'l2', 'area', 'psnr', 'queries', 'nonfinite']
