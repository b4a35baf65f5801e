"""The results of a grid class by class: of classifiers from single images, else what the host's metric says."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ...results import CLEAN, Result
from ..tables import Table, metric_text

# What a place shows that has no number.
_NOTHING = '-'

# The numbers of one result, by class.
Numbers = dict[str, str]


def class_tables(report: Mapping[str, Any], cells: Sequence[tuple[str, Result]]) -> list[Table]:
    """One table for each threat model: a row for each class and defense, a column for each attack.

    Args:
        report: of :func:`mmadvdefense.evaluation.grid.report_data.build_report`.
        cells: threat model and result, with its samples. Results of classifiers from before ``label`` was recorded,
            and metrics without numbers of single classes, have no table.
    """
    classes = report['data']['classes']
    found = {(threat, result.condition.name, result.defense): _numbers(result, classes) for threat, result in cells}
    counts = _images(cells, classes)
    measure = next((kind for kind in (_measure(result, classes) for _, result in cells) if kind), None)
    if measure is None:
        return []
    header = ['class', *(['images'] if counts else []), 'defense', CLEAN]
    tables = []
    for threat, about in report['threat_models'].items():
        rows = [[*header, *about['attacks']]]
        for name in classes:
            for defense in report['defenses']:
                numbers = [found.get((threat, attack, defense), {}).get(name, _NOTHING) for attack in about['attacks']]
                if set(numbers) != {_NOTHING}:
                    clean = found.get((CLEAN, CLEAN, defense), {}).get(name, _NOTHING)
                    rows.append([name, *([str(counts[name])] if counts else []), defense, clean, *numbers])
        if len(rows) > 1:
            tables.append(Table(f'{measure} by class, {threat}', rows))
    return tables


def _measure(result: Result, classes: Sequence[str]) -> Optional[str]:
    if result.samples is not None and 'label' in result.samples:
        return 'correct images (%)'
    return next(iter(_named_metrics(result, classes)), None)


def _numbers(result: Result, classes: Sequence[str]) -> Numbers:
    """One number for each class that the result says something of."""
    if result.samples is None or 'label' not in result.samples:
        return next(iter(_named_metrics(result, classes).values()), {})
    right: dict[int, list[bool]] = defaultdict(list)
    for label, correct in zip(result.samples['label'], result.samples['correct']):
        if label is not None:
            right[label].append(correct)
    return {classes[label]: f'{100 * sum(own) / len(own):.2f}' for label, own in right.items()}


def _images(cells: Sequence[tuple[str, Result]], classes: Sequence[str]) -> dict[str, int]:
    """How many images of each class there are; nothing if images are not of one class."""
    known = (result.samples for _, result in cells if result.samples is not None)
    labels = next((samples['label'] for samples in known if 'label' in samples), [])
    return {name: labels.count(index) for index, name in enumerate(classes)} if labels else {}


def _named_metrics(result: Result, classes: Sequence[str]) -> dict[str, Numbers]:
    """The metrics that are there for single classes, such as ``coco/cat_precision`` and ``coco/dog_precision``."""
    found: dict[str, Numbers] = defaultdict(dict)
    # The longest first: of the classes 'car' and 'sports car', both may end a name.
    pattern = '|'.join(re.escape(name) for name in sorted(classes, key=len, reverse=True))
    for metric, value in result.metrics.items():
        match = re.fullmatch(rf'(.*/)({pattern})([_-].+)?', metric) if pattern else None
        if match:
            kind = f'{match[1]}*{match[3] or ""}'
            found[kind][match[2]] = metric_text(value, metric)
    # One class is no view of the classes.
    return {kind: numbers for kind, numbers in found.items() if len(numbers) > 1}
