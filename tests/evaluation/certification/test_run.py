"""Rows of a data set's images, which an interrupted run keeps, and what is summed up from them."""

from __future__ import annotations

import io
import json
import re

import pytest
import torch
from mmengine.structures import PixelData
from rich.console import Console

from mmadvdefense.evaluation.certification import SmoothedModel
from mmadvdefense.evaluation.certification.report import build_report, notes, report_table, write_report
from mmadvdefense.evaluation.certification.row_file import RowFile, claim_folder
from mmadvdefense.evaluation.certification.run import certify_images, certify_item
from mmadvdefense.evaluation.certification.summary import curve, image_summary, pixel_summary, steps, table_radii

pytest.importorskip('mmpretrain')


class Images(list):
    metainfo: dict = {}


@pytest.fixture
def images(grey, make_samples):
    """Of class 1 and called so but for the last."""
    samples = make_samples(6)
    for index, sample in enumerate(samples):
        sample.set_gt_label(int(index < 5))
    return Images(
        dict(inputs=grey(130 + 4 * index).to(torch.uint8), data_samples=sample) for index, sample in enumerate(samples)
    )


def certify(linear, images, path, console=None):
    rows = RowFile(path)
    console = console or Console(file=io.StringIO())
    certify_images(SmoothedModel(linear, 20, n0=10, n=200), images, range(6), rows, 'linear', console=console)
    return rows


def without_time(rows):
    return [{key: value for key, value in rows.rows[i].items() if key != 'seconds'} for i in sorted(rows.rows)]


def test_rows_are_what_the_model_says(linear, images, tmp_path):
    rows = certify(linear, images, tmp_path / 'rows.jsonl')
    smoothed = SmoothedModel(linear, 20, n0=10, n=200)
    for index, row in enumerate(without_time(rows)):
        certificate = smoothed.certify(images[index]['inputs'], images[index]['data_samples'])
        assert row == {
            'index': index,
            'image': str(index),
            'label': int(index < 5),
            'predicted': certificate.label,
            'radius': certificate.radius,
            'probability': certificate.probability,
            'selected': certificate.selected,
            'votes': certificate.votes,
        }
    skipped = certify_item(smoothed, images, 5, skip_wrong=True)
    assert (skipped['predicted'], skipped['selected'], skipped['votes']) == (None, 1, 0)


def test_a_killed_run_goes_on(linear, images, tmp_path):
    whole = certify(linear, images, tmp_path / 'whole.jsonl')
    path = tmp_path / 'part.jsonl'
    lines = (tmp_path / 'whole.jsonl').read_bytes().splitlines(keepends=True)
    # Killed while it wrote the third line.
    path.write_bytes(b''.join(lines[:2]) + lines[2][:20])
    console = Console(file=io.StringIO())
    resumed = certify(linear, images, path, console)
    assert without_time(resumed) == without_time(whole)
    assert without_time(RowFile(path)) == without_time(whole)
    told = console.file.getvalue()
    assert '2 of 6 images are certified already' in told and '6 of 6 images' in told
    before = path.read_bytes()
    certify(linear, images, path)
    assert path.read_bytes() == before


def test_a_part_of_a_run_stands_for_all(linear, images, tmp_path):
    """Data sets are sorted by class."""
    certify(linear, images, tmp_path / 'rows.jsonl')
    order = [json.loads(line)['index'] for line in (tmp_path / 'rows.jsonl').read_text().splitlines()]
    assert sorted(order) == list(range(6)) != order


def test_runs_do_not_mix(tmp_path):
    settings = {'sigma': 63.75, 'images': {'number': 5}}
    claim_folder(tmp_path / 'out', 'a.py', settings)
    claim_folder(tmp_path / 'out', 'b.py', settings)
    with pytest.raises(ValueError, match=r'another run \(a.py\), which differs in sigma \(63.75 there, 30.6 here\)'):
        claim_folder(tmp_path / 'out', 'a.py', {**settings, 'sigma': 30.6})
    (tmp_path / 'run.json').write_text('{"format": "something else"}')
    with pytest.raises(ValueError, match='is not from tools/certify.py'):
        claim_folder(tmp_path, 'a.py', settings)


def test_data_with_another_number_of_classes(linear, images, tmp_path):
    images.metainfo = dict(classes=list('abc'))
    with pytest.raises(ValueError, match='has 3 classes, ImageClassifier predicts 2'):
        certify(linear, images, tmp_path / 'rows.jsonl')


def test_several_views_of_an_image(linear, images):
    images[0]['inputs'] = [images[0]['inputs']] * 2
    with pytest.raises(ValueError, match='leave test-time augmentation out'):
        certify_item(SmoothedModel(linear, 20, n=100), images, 0)


# What is summed up ---------------------------------------------------------------------------------------------------

ROWS = [
    dict(index=0, label=1, predicted=1, radius=127.5),
    dict(index=1, label=1, predicted=1, radius=63.75),
    dict(index=2, label=1, predicted=0, radius=200.0),
    dict(index=3, label=1, predicted=None, radius=0.0),
]
FACTS = dict(config='a.py', checkpoint='a.pth', sigma=63.75, n0=100, n=1000, alpha=0.001, tau=None, seed=0)


def test_certified_accuracy_by_hand():
    summary = image_summary(ROWS, [0, 0.25, 0.3, 0.5, 0.6])
    assert [row['accuracy'] for row in summary['certified']] == [50, 50, 25, 25, 0]
    assert summary['abstained'] == 25 and summary['images'] == 4
    assert summary['average_radius'] == pytest.approx((0.5 + 0.25) / 4)
    assert steps(ROWS) == [(63.75, 50), (127.5, 25)]
    radii, accuracy = curve(ROWS, 255.0)
    assert (radii[0], radii[-1], len(radii)) == (0, 1, len(accuracy))
    assert accuracy == [50 if r <= 0.25 else 25 if r <= 0.5 else 0 for r in radii]


def test_radii_of_the_table():
    assert table_radii(0.4 * 255) == [0, 0.125, 0.25, 0.375]
    assert table_radii(255, [1, 0.5, 0.5]) == [0.5, 1]
    with pytest.raises(ValueError, match='at least 0'):
        table_radii(255, [-1])


def test_report_of_a_classifier(tmp_path):
    rows = {'SmoothedPurifier': ROWS, 'no purifier': ROWS[2:]}
    attacked = {'SmoothedPurifier': [dict(label=1, predicted=1), dict(label=1, predicted=None)]}
    facts = {**FACTS, 'complete': True, 'skip_wrong': True}
    report = build_report(facts, 200.0, rows, [0, 0.5], attacked=attacked)
    assert 'changes 0 of 2 predictions; 1 become abstentions' in notes(report)[2]
    table = report_table(report)
    assert table.rows[0] == ['L2 radius (0-1)', 'L2 radius (pixels)', 'SmoothedPurifier', 'no purifier']
    assert table.rows[2][:2] == ['0.5', '127.5'] and table.rows[2][2].startswith('25.0 (')
    assert table.rows[1][3] == '0.0 (0.0-0.0)'
    assert notes(report)[3].startswith('no purifier: 2 images, abstains on 50.0 % of the images; average')
    write_report(tmp_path, report, rows)
    assert json.loads((tmp_path / 'report.json').read_text())['results'] == report['results']
    assert (tmp_path / 'curve.csv').read_text().splitlines()[1] == 'SmoothedPurifier,0.25,63.75,50.0'
    assert len((tmp_path / 'images.csv').read_text().splitlines()) == 7
    page = (tmp_path / 'report.html').read_text()
    assert '<svg' in page and '25.0 (' in page
    assert not re.search(r'(src|href)="http', page)
    assert 'Not complete' not in page


def test_report_of_nothing_certified(tmp_path):
    rows = {'SmoothedPurifier': ROWS[3:]}
    report = build_report({**FACTS, 'complete': False}, 200.0, rows)
    write_report(tmp_path, report, rows)
    assert 'Not complete' in (tmp_path / 'report.html').read_text()
    assert (tmp_path / 'curve.csv').read_text() == 'defense,radius,radius_pixels,certified_accuracy\n'


def test_pixels(pointwise_segmentor, tmp_path):
    from mmseg.structures import SegDataSample

    image = torch.full((3, 6, 9), 200, dtype=torch.uint8)
    image[:, 5], image[:, 0, 0] = 50, 128
    mask = torch.zeros(1, 6, 9, dtype=torch.long)
    mask[:, 5, 1:], mask[:, :, 8] = 1, 11
    sample = SegDataSample(metainfo=dict(img_path='a.png', img_shape=(6, 9), ori_shape=(6, 9)))
    sample.gt_sem_seg = PixelData(data=mask)
    smoothed = SmoothedModel(pointwise_segmentor, 8, n0=10, n=100)
    rows = RowFile(tmp_path / 'rows.jsonl')
    certify_images(
        smoothed, Images([dict(inputs=image, data_samples=sample)]), [0], rows, 'seg', console=Console(quiet=True)
    )
    (row,) = rows.rows.values()
    # One pixel of 54 is a tie; one of the 48 with a label is certain and wrong.
    assert row['abstained'] == pytest.approx(1 / 54)
    assert (row['labelled'], row['correct'], row['wrong']) == (48, 46, 1)
    assert (row['both'], row['true'], row['said']) == ([39, 7], [41, 7], [39, 8])
    summary = pixel_summary([row])
    assert summary['accuracy'] == pytest.approx(100 * 46 / 48) and summary['wrong'] == pytest.approx(100 / 48)
    assert summary['mean_iou'] == pytest.approx(50 * (39 / 41 + 7 / 8))
    report = build_report(
        {**FACTS, 'tau': 0.75, 'complete': True}, smoothed.largest_radius, {'p': [row]}, per_pixel=True
    )
    assert report_table(report).rows[1][2:] == ['5.4', '95.8', '2.1', '1.9', '91.3']
    write_report(tmp_path, report, {'p': [row]})
    assert 'tau = 0.75' in (tmp_path / 'report.html').read_text() and not (tmp_path / 'curve.csv').exists()
