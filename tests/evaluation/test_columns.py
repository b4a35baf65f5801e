"""Columns of single images: what goes in comes out, in a quarter of the memory."""

from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np

from mmadvdefense.evaluation.columns import Column, compact

SAMPLES = {
    'image': ['a.png', 'b.png', 'c.png'],
    'correct': [True, None, False],
    'decision': [3, -1, None],
    'l2': [math.pi, 0.1 + 0.2, None],
    'unknown': [None, None, None],
    'mixed': [1, 2.5, None],
}


def test_values_come_back_exactly():
    columns = compact(SAMPLES)
    assert columns == SAMPLES and compact(None) is None
    for name, values in SAMPLES.items():
        assert [type(value) for value in columns[name]] == [type(value) for value in values]
        assert columns[name][-1] == values[-1] and list(columns[name][:2]) == values[:2]
    assert json.dumps({name: list(column) for name, column in columns.items()}) == json.dumps(SAMPLES)
    assert np.isnan(np.array([columns['l2']], dtype=np.float64)).tolist() == [[False, False, True]]
    assert columns['correct'] != [True, None, True] and columns['l2'] != 3 and isinstance(columns['correct'], Column)


def test_equal_names_are_one_object():
    first, second = (compact({'image': [f'{number}.png' for number in range(3)]})['image'] for _ in range(2))
    assert all(a is b for a, b in zip(first, second))


def test_memory():
    text = json.dumps({'score': [number / 7 for number in range(10000)], 'correct': [True] * 10000})
    tracemalloc.start()
    kept = compact(json.loads(text))
    small, _ = tracemalloc.get_traced_memory()
    plain = json.loads(text)
    both, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert small < (both - small) / 4 and len(kept['score']) == len(plain['score'])
