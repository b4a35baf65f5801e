"""Tables of a grid's report, for a terminal and as Markdown, in the layout of Tables I to VII of Align."""

from __future__ import annotations

from typing import Any, Optional

from ...threats import NATURAL, NEEDS_PURIFIER
from ..cautions import source_scores
from ..results import CLEAN, percent, unit
from .corruptions import corruption_notes, corruption_table
from .draws import draws_table, random_notes
from .published import published_notes, published_table
from .strength import beside, strength_table
from .summary_table import summary_table
from .tables import Table, first_size, metric_text, psnr_text, reason_text, sizes_text, spread

# Headings by which the page finds what it links.
SINGLE_IMAGES, CHANGED = 'single images', 'decision changed (%)'
# Attackers who do what a gray-box attacker does where there is no purifier.
ADAPTIVE = tuple(name for name in NEEDS_PURIFIER if name != 'adaptive-substitute')


def report_tables(report: dict[str, Any]) -> list[Table]:
    """The worst case of each defense, the scores under each threat model, and how large the perturbations were.

    Args:
        report: of :func:`mmadvdefense.evaluation.report.build_report`.
    """
    scores = [
        (corruption_table if about['name'] == NATURAL else _scores)(report, threat)
        for threat, about in report['threat_models'].items()
    ]
    more = [draws_table(report), strength_table(report), _perturbations(report)]
    return _filled([published_table(report), summary_table(report), *scores, *more])


def detail_tables(report: dict[str, Any]) -> list[Table]:
    """How significant differences are, what is known of single images, and how perturbations are amplified."""
    threats = list(report['threat_models'])
    comparisons = [_comparisons(report, threat) for threat in threats]
    details = [
        table(report, threat) for table in (_single_images, _errors, _amplification) for threat in (CLEAN, *threats)
    ]
    return _filled([*comparisons, *details])


def _filled(tables: list[Table]) -> list[Table]:
    return [table for table in tables if len(table.rows) > 1]


def terminal(report: dict[str, Any]) -> str:
    """The main tables as a terminal shows them, with their notes."""
    tables = [table.ascii() for table in report_tables(report)]
    return '\n\n'.join([*tables, *(notes(report) if tables else []), *report.get('cautions', ())])


def markdown(report: dict[str, Any]) -> str:
    """The whole report as a page."""
    lines = [
        f'# Robustness: {report["config"]}\n',
        facts(report),
        *(f'\n{table.markdown()}' for table in [*report_tables(report), *detail_tables(report)]),
    ]
    return '\n'.join(lines) + '\n'


def notes(report: dict[str, Any]) -> list[str]:
    """What a reader of the tables must know of their rows, one line each."""
    names = [about['name'] for about in report['threat_models'].values()]
    adaptive = [name for name in names if name in ADAPTIVE]
    bare = [
        method
        for method, trainings in report['methods'].items()
        if not any(report['defenses'][name]['purifier'] for name in trainings)
    ]
    lines = [*published_notes(report), *random_notes(report), *corruption_notes(report)]
    if not adaptive or not bare:
        return lines
    where = 'gray-box' if 'gray-box' in names else adaptive[0]
    verb = 'have' if len(bare) > 1 else 'has'
    return [
        f'{", ".join(bare)} {verb} no purifier: gray-box and adaptive are the same there, and shown once, as {where}',
        *lines,
    ]


def facts(report: dict[str, Any]) -> str:
    """What the tables of a report are about, as Markdown."""
    data = report['data']
    run = {name for threat in report['threat_models'].values() for name in threat['attacks']}
    rounded = 'rounded to 8 bit' if report['quantized'] else 'not rounded'
    lines = [
        f'{data["images"]} images of {data["type"]}, seed {report["seed"]}, adversarial images {rounded}.\n',
        *_gaps(report),
        *selection_text(data.get('selection')),
        *(f'- **{name}**: the attacker {threat["meaning"]}' for name, threat in report['threat_models'].items()),
        *(f'- {name}: {attack["title"]}' for name, attack in report['attacks'].items() if name in run),
        *(
            f'- {method}: mean ± standard deviation of {len(names)} trainings'
            for method, names in report['methods'].items()
            if len(names) > 1
        ),
        *(f'- {line}' for line in notes(report)),
        *(f'- **Caution**: {line}' for line in report.get('cautions', ())),
    ]
    return '\n'.join(lines)


def _gaps(report: dict[str, Any]) -> list[str]:
    """What is missing: cells, and scores of single images."""
    failed = failures(report)
    lines = [f'**{len(failed)} cells failed**; start the grid again to retry them.\n'] if failed else []
    if not report['complete'] and not failed:
        lines.append('**Not complete**: some cells have not been run.\n')
    scores = [cell['scores'] for cell in report['cells'] if cell['scores']]
    without = max((of_cell.get('without_truth', 0) for of_cell in scores), default=0)
    reasons = sorted({of_cell['unscored'] for of_cell in scores if of_cell.get('unscored')})
    if without and not reasons:
        lines.append(f'{without} images have no ground truth and are left out of the numbers of single images.\n')
    return [*lines, *(f'Single images are not scored: {reason}.\n' for reason in reasons)]


def failures(report: dict[str, Any]) -> list[str]:
    """Which cells failed and why, one line each."""
    return [
        f'{cell["defense"]}, {cell["threat_model"]}, {cell["condition"]["name"]}: {cell["reason"]}'
        for cell in report.get('cells', ())
        if cell.get('error') is not None
    ]


def selection_text(selection: Optional[dict[str, Any]]) -> list[str]:
    """How the images of a report were chosen, as a paragraph; none if they are merely spread over the data set."""
    if selection is None:
        return []
    text = f'Chosen from {selection["candidates"]} images'
    if 'correct' in selection:
        text += f', of which the target without a defense gets {selection["correct"]} right: only those are counted'
    if 'images_per_class' in selection:
        text += f'; up to {selection["images_per_class"]} of each of {selection["classes"]} classes'
        if selection['classes_with_fewer']:
            text += f', {selection["classes_with_fewer"]} of which have fewer'
    return [f'{text}.\n']


def cell_outcome(cell: dict[str, Any], metric: str) -> str:
    """What a table shows of a cell: its score, or why it has none."""
    if cell['reason'] is not None:
        return reason_text(cell['reason'], cell.get('error'))
    return metric_text(cell['metrics'][metric], metric)


def _cells(report: dict[str, Any], threat: str) -> list[dict[str, Any]]:
    """The cells of one threat model, attack after attack."""
    attacks = [CLEAN, *report['attacks']]
    cells = (cell for cell in report['cells'] if cell['threat_model'] == threat)
    return sorted(cells, key=lambda cell: attacks.index(cell['condition']['name']))


def _find(report: dict[str, Any], threat: str, attack: str, defense: str) -> Optional[dict[str, Any]]:
    wanted = (attack, defense)
    return next((c for c in _cells(report, threat) if (c['condition']['name'], c['defense']) == wanted), None)


def _scores(report: dict[str, Any], threat: str) -> Table:
    metric, attacks = report['metric'], report['threat_models'][threat]['attacks']
    together = {row['defense']: row for row in report['worst_case'] if row['threat_model'] == threat}
    most = max((len(row['attacks']) for row in together.values()), default=0)
    # A defense that faced fewer attacks is not comparable with those that faced all.
    together = {name: row for name, row in together.items() if len(row['attacks']) == most}
    several = most > 1
    rows = [[f'{metric}{unit(metric)}', CLEAN, *attacks, *(['worst case'] if several else [])]]
    for method, names in report['methods'].items():
        columns = [[_find(report, threat, attack, name) for name in names] for attack in attacks]
        if any(map(any, columns)):
            clean = [_find(report, CLEAN, CLEAN, name) for name in names]
            row = [_outcome(report, cells, metric) for cells in (clean, *columns)]
            last = [spread([together[name]['correct'] for name in names if name in together])] if several else []
            rows.append([method, *row, *last])
    rows += _sources(report, threat, len(rows[0]))
    return Table(threat, rows)


def _sources(report: dict[str, Any], threat: str, width: int) -> list[list[str]]:
    """One row for each source model: its score on the clean images."""
    scores: dict[str, float] = {}
    for cell in _cells(report, threat):
        scores.update(source_scores(cell['measured']))
    return [[f'source {name}, mean score (%)', f'{score:.2f}', *['-'] * (width - 2)] for name, score in scores.items()]


def _outcome(report: dict[str, Any], cells: list[Optional[dict[str, Any]]], metric: str) -> str:
    """What a table shows of a method, over its trainings."""
    there = [cell for cell in cells if cell is not None]
    if any(cell['reason'] is not None for cell in there) or not there:
        return cell_outcome(there[0], metric) if there else '-'
    if len(there) < 2:
        return beside(report, cell_outcome(there[0], metric), there)
    return beside(report, spread([percent(cell['metrics'][metric], metric) for cell in there]), there)


def _perturbations(report: dict[str, Any]) -> Table:
    """One row for all defenses that faced the same images."""
    attacked = [
        cell['measured'] for cell in report['cells'] if cell['threat_model'] != CLEAN and cell['reason'] is None
    ]
    size = f'{first_size(attacked)} mean / max'
    rows = [['threat model', 'attack', 'defense', size, 'L2 mean / max', 'queries mean']]
    for threat, about in report['threat_models'].items():
        for attack in about['attacks']:
            cells = [cell for cell in _cells(report, threat) if cell['condition']['name'] == attack]
            groups: dict[tuple, list[str]] = {}
            for cell in cells:
                if cell['reason'] is None:
                    groups.setdefault(tuple(sizes_text(cell['measured'])), []).append(cell['defense'])
            for sizes, defenses in groups.items():
                rows.append([threat, attack, _who(report, defenses, list(groups.values())), *sizes])
    return Table('perturbations, in pixels (0-255)', rows)


def _who(report: dict[str, Any], defenses: list[str], groups: list[list[str]]) -> str:
    """One of the groups of defenses that faced an attack, in few words."""
    if len(defenses) == len(report['defenses']) or (len(groups) == 1 and len(defenses) > 1):
        return 'all'
    named = _named(report, defenses)
    if len(named) > 3 and 2 * len(defenses) > sum(map(len, groups)):
        return 'all others'
    return ', '.join(named)


def _named(report: dict[str, Any], defenses: list[str]) -> list[str]:
    """``defenses``, with a method in place of its trainings if all of them are there."""
    whole = {
        name: method for method, names in report['methods'].items() if set(names) <= set(defenses) for name in names
    }
    return list(dict.fromkeys(whole.get(name, name) for name in defenses))


def _comparisons(report: dict[str, Any], threat: str) -> Table:
    tests = [row for row in report['comparisons'] if row['threat_model'] == threat]
    attacks = [name for name in report['threat_models'][threat]['attacks'] if any(t['attack'] == name for t in tests)]
    # A p-value too small for a float is not zero.
    chance = [f'{test["p"]:.1e}' if test['p'] else '<1e-300' for test in tests]
    shown = {
        (*test['defenses'], test['attack']): f'{100 * test["difference"]:+.2f} ({p})' for test, p in zip(tests, chance)
    }
    rows = [['mean score, difference (p)', *attacks]]
    for ours, theirs in dict.fromkeys(tuple(test['defenses']) for test in tests):
        rows.append([f'{ours} - {theirs}', *(shown.get((ours, theirs, attack), '-') for attack in attacks)])
    return Table(f'paired t-test over images, {threat}', rows)


def _amplification(report: dict[str, Any], threat: str) -> Table:
    rows = [['attack', 'defense', *report['layers']]]
    for attack in [CLEAN, *report['attacks']]:
        for method, names in report['methods'].items():
            cells = [_find(report, threat, attack, name) for name in names]
            found = [cell['amplification'] for cell in cells if cell and cell['amplification']]
            if found:
                columns = [[sizes[layer] for sizes in found] for layer in report['layers']]
                shown = ['infinite' if None in numbers else spread(numbers, 4) for numbers in columns]
                rows.append([attack, method, *shown])
    return Table(f'error amplification |f(x*) - f(x)| / |f(x)|, {threat}', rows)


def _errors(report: dict[str, Any], threat: str) -> Table:
    """The errors of detections by type, for grids of detectors."""
    cells = [cell for cell in _cells(report, threat) if cell['scores'].get('errors')]
    types = list(cells[0]['scores']['errors']) if cells else []
    rows = [['attack', 'defense', *types]]
    for cell in cells:
        numbers = [str(cell['scores']['errors'][name]) for name in types]
        rows.append([cell['condition']['name'], cell['defense'], *numbers])
    return Table(f'detections and their errors by type (TIDE), {threat}', rows)


def _single_images(report: dict[str, Any], threat: str) -> Table:
    """What is known of single images."""
    header = ['attack', 'defense', 'correct (%)', 'mean score (%), 95 % interval', CHANGED]
    rows = [[*header, 'PSNR to clean (dB)']]
    for cell in _cells(report, threat):
        if cell['reason'] is None:
            scores = cell['scores']
            changed = '-' if scores['changed'] is None else f'{scores["changed"]:.2f}'
            correct = score = '-'
            if scores['score'] is not None:
                low, high = scores['interval']
                correct, score = f'{scores["correct"]:.2f}', f'{scores["score"]:.2f} [{low:.2f}, {high:.2f}]'
            who = [cell['condition']['name'], cell['defense']]
            rows.append([*who, correct, score, changed, psnr_text(cell['measured'])])
    return Table(f'{SINGLE_IMAGES}, {threat}', rows)
