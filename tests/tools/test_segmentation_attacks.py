"""Every attack on segmentors, and patches, by name and in a grid, on a model that answers in milliseconds."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Callable

import cv2
import pytest
import torch

from mmadvdefense.datasets import write_digit_scenes

pytest.importorskip('mmseg')
ROOT = Path(__file__).parents[2]
SIDE = 32

CONFIG = """
_base_ = '{root}/configs/target/scenes_seg_small.py'
model = dict(
    data_preprocessor=dict(size=({side}, {side})),
    backbone=dict(base_channels=4, stem_channels=4),
    decode_head=dict(in_channels=16, channels=8))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=({side}, {side})),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(pipeline=test_pipeline, indices=2))
log_level = 'WARNING'
"""
BINARY = """
model['decode_head'].update(
    num_classes=2, out_channels=1, threshold=0.5,
    loss_decode=dict(_delete_=True, type='CrossEntropyLoss', use_sigmoid=True))
test_dataloader['dataset']['metainfo'] = dict(classes=('background', 'digit'), palette=[[0, 0, 0], [255, 0, 0]])
"""
EPS = 8
PGD = ('--eps', EPS, '--step-size', 2, '--steps', 3)
# Arguments, and how many gradients and scores an image takes.
BY_NAME = {
    'SegPGD': (PGD, 3),
    'CosPGD': (PGD, 3),
    'PAdam': ((*PGD, '--objective', 'cosine'), 3),
    'SEA': (('--eps', EPS, '--steps', 4), 4 * (4 + 3)),
    # SegPGD and CosPGD with two steps, each compared once; SEA likewise, loss by loss.
    'SegAutoAttack': (('--eps', EPS), 2 * (2 + 1) + 4 * (4 + 3 + 1)),
    # One more each, to see where they ended.
    **dict.fromkeys(('ALMAProx', 'PDPGD'), (('--eps', EPS, '--steps', 8), 9)),
    # Stops at the first success.
    'DAG': (('--eps', EPS, '--steps', 8), None),
}
PATCHES = dict.fromkeys(('DPatch', 'AdversarialPatch'), ('--area', 0.05, '--steps', 3))


@pytest.fixture(scope='module')
def scenes(tmp_path_factory) -> Path:
    return write_digit_scenes(tmp_path_factory.mktemp('data') / 'digit_scenes', num_train=1, num_test=2)


@pytest.fixture
def make_segmentor(scenes, tmp_path) -> Callable[..., tuple[Path, Path]]:
    """Config and checkpoint of a model with random weights, whose own prediction becomes the ground truth."""
    from mmadvdefense.models import build_model

    voc = shutil.copytree(scenes, tmp_path / 'data' / 'digit_scenes') / 'VOC2012'

    def make(more: str = '') -> tuple[Path, Path]:
        config, checkpoint = tmp_path / 'segmentor.py', tmp_path / 'segmentor.pth'
        config.write_text(CONFIG.format(root=ROOT, side=SIDE) + more)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            model = build_model(str(config)).eval()
            torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=2.0)
        masks = {mask: voc / 'JPEGImages' / f'{mask.stem}.jpg' for mask in voc.glob('SegmentationClass/test_*.png')}
        write_predictions(model, masks)
        torch.save({'state_dict': model.state_dict()}, checkpoint)
        return config, checkpoint

    return make


def write_predictions(model, masks: dict[Path, Path]) -> None:
    """What a model says of images, once every class is as likely as the others."""
    from mmseg.structures import SegDataSample

    images = [cv2.resize(cv2.imread(str(image)), (SIDE, SIDE)) for image in masks.values()]
    sizes = dict(ori_shape=(128, 128), img_shape=(SIDE, SIDE))
    data = {
        'inputs': [torch.from_numpy(image).permute(2, 0, 1) for image in images],
        'data_samples': [SegDataSample(metainfo=sizes) for _ in images],
    }
    with torch.no_grad():
        scores = model(**model.data_preprocessor(data), mode='tensor')
        model.decode_head.conv_seg.bias -= scores.mean((0, 2, 3))
        for mask, sample in zip(masks, model.test_step(data)):
            cv2.imwrite(str(mask), sample.pred_sem_seg.data[0].byte().numpy())


@pytest.fixture
def segmentor(make_segmentor, monkeypatch) -> tuple[Path, Path]:
    # 1400 gradients are the attack, not this test.
    monkeypatch.setattr('mmadvdefense.attacks.dense.seg_autoattack._PGD_STEPS', 2)
    monkeypatch.setattr('mmadvdefense.attacks.dense.seg_autoattack._SEA_STEPS', 4)
    return make_segmentor()


def test_each_by_name(segmentor, run_tool, tmp_path):
    out = tmp_path / 'out.json'
    for name, (arguments, queries) in BY_NAME.items():
        done = run_tool('test', *segmentor, '--attack', name, *arguments, '--out', out)
        assert done.code == 0, (name, done.err[-3000:])
        clean, attacked = json.loads(out.read_text())['results']
        measured = attacked['measured']
        assert 0 < measured['perturbation/linf_mean'] <= measured['perturbation/linf_max'] <= EPS + 1e-3, name
        assert queries in (None, measured['attack/queries_mean']), name
        assert attacked['metrics']['aAcc'] < clean['metrics']['aAcc'] == pytest.approx(100, abs=1), name


def test_patches_by_name(segmentor, run_tool, tmp_path):
    out = tmp_path / 'out.json'
    for name, arguments in PATCHES.items():
        done = run_tool('test', *segmentor, '--attack', name, *arguments, '--out', out)
        assert done.code == 0, (name, done.err[-3000:])
        measured = json.loads(out.read_text())['results'][1]['measured']
        # 7 x 7 of 32 x 32 pixels
        assert 0.9 * 49 / 1024 < measured['perturbation/area_mean'] <= measured['perturbation/area_max'] <= 49 / 1024
        assert '% of the pixels' in ' '.join(done.out.split()) and 'changed pixels' in done.out


def test_all_in_one_grid(segmentor, run_tool, tmp_path):
    config, checkpoint = segmentor
    steps = dict(eps=EPS, step_size=2, steps=2)
    attacks = {
        'SegPGD': dict(type='SegPGD', **steps),
        'CosPGD': dict(type='CosPGD', **steps),
        'PAdam': dict(type='PAdam', objective='cosine', **steps),
        'SEA': dict(type='SEA', eps=EPS, steps=4),
        'SEA-mIoU': dict(type='EachPart', attack=dict(type='SEA', eps=EPS, steps=4), worst_by='miou'),
        'SegAutoAttack': dict(type='SegAutoAttack', eps=EPS),
        'ALMAProx': dict(type='ALMAProx', eps=EPS, steps=2),
        'PDPGD': dict(type='PDPGD', eps=EPS, steps=2),
        'DAG': dict(type='DAG', eps=EPS, steps=2),
        'DPatch': dict(type='DPatch', area=0.05, steps=2),
        'AdversarialPatch': dict(type='AdversarialPatch', area=0.05, steps=2),
    }
    grid = dict(
        target=dict(config=str(config), checkpoint=str(checkpoint)),
        defenses=dict(none={}),
        attacks=attacks, threat_models=['gray-box'], num_examples=0,
    )  # fmt: skip
    (tmp_path / 'grid.py').write_text('\n'.join(f'{name} = {value!r}' for name, value in grid.items()))
    done = run_tool('robustness', tmp_path / 'grid.py', '--work-dir', tmp_path / 'run')
    assert done.code == 0, done.err[-3000:]
    report = json.loads((tmp_path / 'run' / 'report.json').read_text())
    assert report['complete'] and report['metric'] == 'mIoU'
    attacked = [cell for cell in report['cells'] if cell['condition']['name'] in attacks]
    assert len(attacked) == len(attacks) and not [cell for cell in attacked if cell['reason']]
    assert 'L-inf or changed pixels mean / max' in ' '.join((tmp_path / 'run' / 'report.md').read_text().split())
    # The loss of attacks whose loss rises with success is known of every image.
    for cell in attacked:
        stored = json.loads((tmp_path / 'run' / 'cells' / f'{cell["file"]}.json').read_text())['samples']
        name = cell['condition']['name']
        known = name in ('PAdam', 'SEA', 'SEA-mIoU', 'SegAutoAttack', 'DPatch', 'AdversarialPatch')
        assert ('rise' in stored) == known, name


def test_one_channel(make_segmentor, run_tool, tmp_path):
    model, out = make_segmentor(BINARY), tmp_path / 'out.json'
    for name, arguments in dict(SegPGD=PGD, SEA=BY_NAME['SEA'][0]).items():
        done = run_tool('test', *model, '--attack', name, *arguments, '--out', out)
        assert done.code == 0, (name, done.err[-3000:])
        clean, attacked = json.loads(out.read_text())['results']
        assert attacked['metrics']['aAcc'] < clean['metrics']['aAcc'] == pytest.approx(100, abs=1), name


def test_what_is_not_for_segmentors(segmentor, run_tool):
    cases = {
        'AutoAttack needs one predicted class per image, which no model for .*segmentation has; use APGD': (
            'AutoAttack', '--eps', 8
        ),
        'DetectionDAG with ProposalObjective is for detectors': ('DetectionDAG', '--eps', 8),
        'PGD: there is no target class 11; the model has 11 classes, 0 to 10': ('PGD', *PGD, '--targeted', 'class_11'),
        "PGD: unknown choice of target 'road'; known: random": ('PGD', *PGD, '--targeted', 'road'),
        'DPatch: area is the share of the image that the patch covers, in .0, 1.; got 1.5': ('DPatch', '--area', 1.5),
        'a patch of 0.01 % does not fit into an image of 32x32: this is less than one pixel': (
            'DPatch', '--area', 0.0001, '--steps', 1
        ),
    }  # fmt: skip
    for message, arguments in cases.items():
        assert re.search(message, run_tool('test', *segmentor, '--attack', *arguments).error), message
