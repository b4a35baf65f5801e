import html
import html.parser
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from mmadvdefense.evaluation.report.distributions import (
    FEATURE_STATES,
    Distributions,
    distribution_element,
    load_distributions,
    proxy_a_distances,
    save_distributions,
)
from mmadvdefense.evaluation.report.grid_curves import amplification_curves, budget_curves
from mmadvdefense.evaluation.report.grid_examples import example_sheets
from mmadvdefense.evaluation.report.html_page import write_page
from mmadvdefense.evaluation.report.page import changed_images, class_tables
from mmadvdefense.evaluation.results import Condition, Result

ACCURACY = {
    'none': {0: 90.0, 2: 40.0, 8: 0.0},
    'align': {0: 89.0, 2: 80.0, 8: 70.0},
}
LAYERS = ['backbone.conv1', 'backbone.layer4']


def cell(defense, eps):
    attack = None if eps == 0 else dict(type='PGD', eps=eps, step_size=eps / 4, steps=10)
    condition = Condition('clean') if eps == 0 else Condition(f'PGD {eps}', attack, threat_model='gray-box')
    score = ACCURACY[defense][eps]
    result = Result(
        condition,
        purifier=defense != 'none',
        metrics={'accuracy/top1': score},
        measured={
            'perturbation/linf_mean': eps,
            'perturbation/linf_max': eps,
            'perturbation/l2_mean': 20.0 * eps,
            'perturbation/l2_max': 25.0 * eps,
            'purified/psnr': 30.0,
            'attack/queries_mean': 10.0,
        },
        defense=defense,
        scores=dict(images=4, correct=score, score=score, interval=[score - 2, score + 2], changed=None),
        amplification=dict(zip(LAYERS, (0.1, 0.1 * (eps + 1)))) if eps else {},
    )
    return {'threat_model': 'clean' if eps == 0 else 'gray-box', 'file': f'{defense}{eps}', **result.as_dict()}


def make_report():
    cells = [cell(defense, eps) for defense in ACCURACY for eps in (0, 2, 8)]
    attacks = ['PGD 2', 'PGD 8']
    return {
        'complete': True,
        'config': 'grid <of> & tests',
        'software': {'torch': '2', 'mmdet': None},
        'task': 'classification',
        'metric': 'accuracy/top1',
        'seed': 0,
        'quantized': True,
        'layers': LAYERS,
        'data': {'type': 'CustomDataset', 'images': 4, 'classes': ['cat', 'dog'], 'channel_order': 'rgb'},
        'target': {'config': 'target.py', 'checkpoint': 'target.pth', 'weights': 'sha256:' + 'ab' * 32},
        'defenses': {'none': {'purifier': None}, 'align': {'purifier': 'AlignPurifier'}},
        'methods': {'none': ['none'], 'align': ['align']},
        'attacks': {name: {'config': {}, 'title': f'{name} (title)'} for name in attacks},
        'threat_models': {'gray-box': {'name': 'gray-box', 'meaning': 'has the target', 'attacks': attacks}},
        'cells': cells,
        'worst_case': [],
        'comparisons': [],
    }


@pytest.fixture
def report():
    return make_report()


def test_budget_curves_begin_with_the_clean_images(report):
    (curve,) = budget_curves(report)
    assert curve.title == 'PGD, gray-box'
    assert curve.lines == {'none': ([0, 2, 8], [90, 40, 0]), 'align': ([0, 2, 8], [89, 80, 70])}
    assert curve.bands['align'] == ([87, 78, 68], [91, 82, 72])


def test_a_metric_that_is_undefined_leaves_a_gap(report):
    (undefined,) = (c for c in report['cells'] if (c['defense'], c['condition']['name']) == ('none', 'PGD 2'))
    undefined['metrics'][report['metric']] = None
    (curve,) = budget_curves(report)
    assert curve.lines['none'] == ([0, 2, 8], [90, pytest.approx(float('nan'), nan_ok=True), 0])
    (curve,) = budget_curves({**report, 'methods': {'both': ['none', 'align']}})
    assert curve.lines['both'] == ([0, 2, 8], [89.5, pytest.approx(float('nan'), nan_ok=True), 35])


def test_one_budget_or_another_attack_makes_no_curve(report):
    report['cells'] = [c for c in report['cells'] if c['condition']['name'] != 'PGD 8']
    assert budget_curves(report) == []
    report['cells'].append(cell('none', 8))
    report['cells'][-1]['condition']['attack']['steps'] = 20
    assert budget_curves(report) == []


def test_amplification_has_a_line_for_each_defense(report):
    first, second = amplification_curves(report)
    assert (first.title, second.title) == ('PGD 2, gray-box', 'PGD 8, gray-box')
    assert second.lines == {name: ([0, 1], pytest.approx([0.1, 0.9])) for name in ('none', 'align')}
    assert second.ticks == LAYERS


def test_several_trainings_are_one_line_with_a_band(report):
    second = [cell('align', eps) for eps in (0, 2, 8)]
    for entry in report['cells']:
        if entry['defense'] == 'align':
            entry['defense'] = 'align #1'
    for entry in second:
        entry['defense'] = 'align #2'
        entry['metrics']['accuracy/top1'] -= 10
        entry['amplification'] = {layer: 3 * size for layer, size in entry['amplification'].items()}
    report['cells'] += second
    report['methods'] = {'none': ['none'], 'align': ['align #1', 'align #2']}
    (curve,) = budget_curves(report)
    assert curve.lines == {'none': ([0, 2, 8], [90, 40, 0]), 'align': ([0, 2, 8], [84, 75, 65])}
    assert curve.bands['align'] == ([79, 70, 60], [89, 80, 70])
    _, curve = amplification_curves(report)
    assert curve.lines['align'] == ([0, 1], pytest.approx([0.2, 1.8]))
    assert [list(map(pytest.approx, end)) for end in curve.bands['align']] == [[0.1, 0.9], [0.3, 2.7]]
    assert 'none' not in curve.bands


def distributions():
    random = np.random.default_rng(0)
    features = {state: random.normal(size=(30, 6)) + 10 * ('adversarial' == state) for state in FEATURE_STATES}
    return Distributions(features, np.arange(30) % 2)


def test_distributions_come_back_from_their_file(tmp_path):
    before = distributions()
    save_distributions(tmp_path / 'd.npz', before)
    after = load_distributions(tmp_path / 'd.npz')
    assert after.labels.tolist() == before.labels.tolist()
    for state in FEATURE_STATES:
        np.testing.assert_array_equal(after.features[state], before.features[state])


def test_proxy_a_distances_are_those_of_the_paper():
    found = {(first, second): value for first, second, value in proxy_a_distances(distributions())}
    assert found['adversarial', 'clean'] == 2
    assert found['purified adversarial', 'purified clean'] < 1
    assert set(found) == {
        ('adversarial', 'clean'),
        ('purified adversarial', 'clean'),
        ('purified adversarial', 'purified clean'),
    }


@pytest.fixture
def cells(report, tmp_path):
    return make_cells(report, tmp_path)


def make_cells(report, folder):
    """Results with samples and images, as a run folder holds them."""
    images = {}
    for index in (0, 2):
        for state, value in (('clean', 200), ('adversarial', 100), ('purified', 150)):
            images[f'{index}/{state}'] = np.full((3, 8, 8), value, np.uint8)
        images[f'{index}/name'] = np.array(f'{index}.png')
    np.savez(folder / 'examples.npz', **images)
    found = []
    for entry in report['cells']:
        entry = {key: value for key, value in entry.items() if key not in ('threat_model', 'file')}
        # All four are right, until an attack turns the second and the third.
        attacked = entry['condition']['attack'] is not None
        correct = [True, not attacked, not attacked, True]
        samples = dict(
            image=['a.png', str(folder / 'b c.png'), '2', '3'], decision=[0, 1, 1, 0] if attacked else [0] * 4,
            label=[0, 0, 0, 0], correct=correct, score=[float(right) for right in correct], linf=[8.0] * 4,
            **(dict(changed=[False, True, True, False]) if attacked else {}),
        )  # fmt: skip
        result = Result.from_dict(entry, samples)
        found.append(('clean' if result.condition.attack is None else 'gray-box', result, folder / 'examples.npz'))
    return found


def test_sheets_show_the_first_attack_on_each_purifier(report, cells):
    sheets = example_sheets(report, cells)
    assert list(sheets) == ['align, gray-box, PGD 2']
    assert sheets['align, gray-box, PGD 2'].startswith('<img alt=')


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.cells = [], []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        assert tag not in ('link', 'iframe')
        self.links += [value for name, value in attributes if name in ('src', 'href', 'xlink:href')]
        self._in_cell = tag in ('td', 'th')

    def handle_data(self, data):
        if self._in_cell:
            self.cells.append(data)


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp('page')
    path = folder / 'report.html'
    (folder / 'b c.png').touch()
    report = make_report()
    cells = make_cells(report, folder)
    scored = [(threat, result) for threat, result, _ in cells]
    sheets = example_sheets(report, cells)
    changed = changed_images(report, scored, sheets, folder)
    shown = {'align': distribution_element(distributions(), ['a', 'b'])}
    write_page(path, report, sheets, shown, class_tables(report, scored), changed)
    return path


def test_page_stands_alone_and_has_the_numbers(page):
    text = page.read_text()
    parsed = Page(text)
    files = {link for link in parsed.links if not link.startswith(('data:', '#'))}
    assert files == {'b%20c.png'}, 'an image of the data set, beside the page'
    assert 'url(http' not in text and '@import' not in text
    assert {'90.00', '40.00', '0.00', '89.00', '80.00', '70.00'} <= set(parsed.cells)
    assert 'grid &lt;of&gt; &amp; tests' in text
    assert text.count('<svg') == 3 and text.count('<img') == 2
    assert 'The attacker has the target.' in text
    assert [path.name for path in page.parent.glob('report*')] == ['report.html']


def test_links_lead_to_places_on_the_page(page):
    text = page.read_text()
    places = set(re.findall(r'id="([^"]+)"', text))
    links = set(re.findall(r'<a href="#([^"]+)"', text))
    assert links == {'changed-1', 'changed-2', 'changed-3', 'changed-4', 'picture-1'} <= places
    assert text.count('<a href="#changed-') == 4, 'one for each attack on each defense'


def test_results_class_by_class(report, cells):
    scored = [(threat, result) for threat, result, _ in cells]
    for index, (_, result) in enumerate(scored):
        result.samples['label'] = [0, 0, 1, None]
        result.samples['correct'] = [True, index % 2 == 0, False, None]
    (table,) = class_tables(report, scored)
    assert table.title == 'correct images (%) by class, gray-box'
    assert table.rows == [
        ['class', 'images', 'defense', 'clean', 'PGD 2', 'PGD 8'],
        ['cat', '2', 'none', '100.00', '50.00', '100.00'],
        ['cat', '2', 'align', '50.00', '100.00', '50.00'],
        ['dog', '1', 'none', '0.00', '0.00', '0.00'],
        ['dog', '1', 'align', '0.00', '0.00', '0.00'],
    ]


def test_class_metrics_of_a_detector(report, cells):
    scored = [(threat, result) for threat, result, _ in cells]
    for _, result in scored:
        del result.samples['label']
    assert class_tables(report, scored) == []
    report['data']['classes'] = ['cat', 'wild cat', 'dog']
    for value, (_, result) in enumerate(scored):
        names = ('cat_precision', 'wild cat_precision', 'dog_precision')
        result.metrics.update({f'coco/{name}': value / 100 for name in names}, **{'coco/bbox_mAP': 0.5})
    (table,) = class_tables(report, scored)
    assert table.title == 'coco/*_precision by class, gray-box'
    assert table.rows[0] == ['class', 'defense', 'clean', 'PGD 2', 'PGD 8']
    assert table.rows[1:3] == [['cat', 'none', '0.00', '1.00', '2.00'], ['cat', 'align', '3.00', '4.00', '5.00']]
    assert [row[0] for row in table.rows[3:]] == ['wild cat', 'wild cat', 'dog', 'dog']


def test_images_that_changed(report, cells, tmp_path):
    (tmp_path / 'b c.png').touch()
    scored = [(threat, result) for threat, result, _ in cells]
    groups = changed_images(report, scored, {'align, gray-box, PGD 2': '<img>'}, tmp_path / 'run')
    assert [group.title for group in groups] == [
        f'{defense}, gray-box, {attack}' for defense in ('none', 'align') for attack in ('PGD 2', 'PGD 8')
    ]
    assert [group.picture for group in groups] == [None, None, 'picture-1', None]
    first, second = groups[0].images
    assert (first.name, first.link, first.before, first.after) == ('b c.png', '../b c.png', 'cat ✓', 'dog ✗')
    assert (second.name, second.link, second.size) == ('2', None, '8.00') and groups[0].total == 2


def test_several_decisions_an_image_have_a_score(report, cells, tmp_path):
    report['task'] = 'detection'
    (_, result), *_ = changed_images_of = [(threat, result) for threat, result, _ in cells][1:2]
    clean = [(threat, result) for threat, result, _ in cells][:1]
    result.samples['score'] = [1.0, 0.25, None, 1.0]
    (group,) = changed_images(report, clean + changed_images_of, {}, tmp_path)
    assert [image.after for image in group.images] == ['25 % ✗', '-']


CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium to open the page in')


def browser(page, tmp_path, *options):
    command = [CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--hide-scrollbars']
    command += ['--disable-background-networking', '--disable-component-update', '--disable-sync']
    command += [f'--user-data-dir={tmp_path / "profile"}', '--enable-logging=stderr', '--virtual-time-budget=5000']
    done = subprocess.run([*command, *options, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert 'CONSOLE' not in done.stderr, done.stderr
    return done.stdout


@needs_browser
def test_page_opens_in_a_browser(page, tmp_path):
    picture = tmp_path / 'page.png'
    browser(page, tmp_path, '--window-size=1100,2400', f'--screenshot={picture}')
    image = cv2.imread(str(picture))
    assert image.shape == (2400, 1100, 3)
    # Text, lines and the two pictures: neither blank nor dark.
    ink = (image.min(2) < 128).mean()
    assert 0.005 < ink < 0.3
    dom = browser(page, tmp_path, '--dump-dom')
    assert len(re.findall('<tr', dom)) == len(re.findall('<tr>', page.read_text()))


# What a reader does: clicks on a head once, twice and three times, and filters.
READER = """
<script>
const table = [...document.querySelectorAll('table')].find((own) => own.dataset.title === 'gray-box');
const order = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
const head = [...table.tHead.rows[0].cells].find((own) => own.textContent === 'PGD 8');
const seen = {orders: [order()]};
for (let click = 0; click < 3; click += 1) { head.querySelector('button').click(); seen.orders.push(order()); }
const input = document.querySelector('.bar input');
input.value = 'ALIGN gray-box';
input.dispatchEvent(new Event('input'));
seen.shown = [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[0].textContent);
document.body.dataset.seen = JSON.stringify(seen);
</script>
"""


@needs_browser
def test_tables_are_sorted_and_filtered(page, tmp_path):
    read = tmp_path / 'read.html'
    read.write_text(page.read_text().replace('</body>', f'{READER}</body>'))
    dom = browser(read, tmp_path, '--dump-dom')
    seen = json.loads(html.unescape(re.search(r'data-seen="([^"]*)"', dom)[1]))
    assert seen['orders'] == [['none', 'align'], ['none', 'align'], ['align', 'none'], ['none', 'align']]
    assert seen['shown'] == ['align']
