"""What is wrong with a data set stops a run with one line that names the file, or is left out with a warning."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Callable

import cv2
import pytest
import torch
from mmengine.config import Config

from mmadvdefense.datasets import write_digit_scenes
from mmadvdefense.models import build_model

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')
CONFIGS = Path(__file__).parents[2] / 'configs'
ATTACKS = {'det': 'fgsm_det_cls_loc_test', 'seg': 'bim_seg_test'}
EPS = {'det': 8.0, 'seg': 7.65}
STAGES = ('train', 'test')
OPTIONS = (
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=9',
    'param_scheduler=None',
    'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'train_dataloader.sampler.shuffle=False',
    'train_dataloader.dataset.indices=None',
    'test_dataloader.batch_size=2',
    'log_level=WARNING',
)


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    """A target and its purifier, both random, of each task."""
    found = {}
    for task in ATTACKS:
        model = build_model(Config.fromfile(CONFIGS / 'demo' / f'scenes_{task}_align.py'))
        model.init_weights()
        model.data_preprocessor.num_updates.fill_(1)
        found[task] = tmp_path_factory.mktemp('checkpoints') / f'{task}.pth'
        torch.save({'state_dict': model.state_dict()}, found[task])
    return found


@pytest.fixture(scope='module')
def scenes(tmp_path_factory) -> Path:
    return write_digit_scenes(tmp_path_factory.mktemp('data') / 'digit_scenes', num_train=4, num_test=2)


@pytest.fixture
def voc(scenes, tmp_path) -> Path:
    """Four scenes to train on and two to test on, in batches of two."""
    return shutil.copytree(scenes, tmp_path / 'data' / 'digit_scenes') / 'VOC2012'


@pytest.fixture
def run(run_tool, checkpoints) -> Callable:
    """Train a purifier for an epoch, or test one under attack."""

    def run(stage: str, task: str, *options: str, config=None):
        config = config or CONFIGS / 'demo' / f'scenes_{task}_align.py'
        options = ('--cfg-options', *OPTIONS, f'load_from={checkpoints[task]}', *options)
        if stage == 'train':
            return run_tool('train', config, '--work-dir', 'purifier', *options)
        attack = CONFIGS / 'attacks' / f'{ATTACKS[task]}.py'
        return run_tool('test', config, checkpoints[task], '--attack', attack, '--out', 'results.json', *options)

    return run


def measured(task: str) -> dict:
    """What the attack did to images without the purifier; every number of the run is one."""
    results = json.loads(Path('results.json').read_text())['results']
    assert [row['purifier'] for row in results] == [False, True] * 2
    assert all(math.isfinite(value) for row in results for value in row['metrics'].values())
    found = results[2]['measured']
    assert all(math.isfinite(value) for value in found.values())
    assert found['perturbation/linf_max'] == pytest.approx(EPS[task], abs=1e-3)
    return found


def change_annotation(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text, count=1, flags=re.DOTALL)
        assert count == 1, pattern
    path.write_text(text)


def set_first_box(voc: Path, box: tuple) -> None:
    for name in ('train_0002', 'test_0001'):
        corners = [
            (f'<{corner}>[^<]*</{corner}>', f'<{corner}>{value}</{corner}>')
            for corner, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box)
        ]
        change_annotation(voc / 'Annotations' / f'{name}.xml', *corners)


@pytest.mark.parametrize('stage', STAGES)
def test_a_list_of_images_that_is_not_there(stage, voc, run):
    missing = voc / 'ImageSets' / 'Main' / {'train': 'trainval.txt', 'test': 'test.txt'}[stage]
    missing.unlink()
    done = run(stage, 'det')
    place = re.escape(f'{missing.relative_to(Path.cwd())} in {Path.cwd()}')
    assert re.search(f'^error: there is no {place}: put what the config names there', done.error), done.error


# --- objects --------------------------------------------------------------------------------------------------------


def test_images_without_objects(voc, run):
    """Half of the images. The loss of SSD says nothing of them, so they stay as they are, and the table says so."""
    for name in ('train_0001', 'train_0002', 'test_0001'):
        change_annotation(voc / 'Annotations' / f'{name}.xml', ('<object>.*</object>', ''))
    for stage in STAGES:
        done = run(stage, 'det')
        assert done.code == 0, done
    assert measured('det')['perturbation/linf_mean'] == pytest.approx(4.0, abs=1e-3)


def test_boxes_that_reach_beyond_the_image(voc, run):
    set_first_box(voc, (-20, 70, 60, 300))
    for stage in STAGES:
        done = run(stage, 'det')
        assert done.code == 0, done
        assert 'no area' not in done.out + done.err
    assert measured('det')['perturbation/linf_mean'] == pytest.approx(8.0, abs=1e-3)


@pytest.mark.parametrize(
    'box', [(41, 41, 41, 81), (81, 81, 41, 41), (201, 201, 301, 301)], ids=['flat', 'inverted', 'outside']
)
def test_boxes_without_an_area_inside_the_image(box, voc, run):
    set_first_box(voc, box)
    assert re.search(r'train_0002\.jpg: the box \[.*\] has no area inside the image', run('train', 'det').error)
    done = run('test', 'det')
    assert done.code == 0, done
    assert re.search(r'test_0001\.jpg: 1 of \d boxes have no area inside the image', done.out + done.err)
    measured('det')


# --- masks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('stage', 'name'), [('train', 'train_0002'), ('test', 'test_0001')])
def test_a_label_beyond_the_classes(stage, name, voc, run):
    path = str(voc / 'SegmentationClass' / f'{name}.png')
    mask = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    mask[:5] = 40
    cv2.imwrite(path, mask)
    assert f'{name}.png has label 40, but the model predicts 11 classes' in run(stage, 'seg').error


# --- sizes ----------------------------------------------------------------------------------------------------------

CROPS = {
    'det': "dict(type='LoadAnnotations', with_bbox=True), dict(type='RandomCrop', crop_size=(160, 192))",
    'seg': "dict(type='LoadAnnotations'), dict(type='RandomCrop', crop_size=(160, 192))",
}
PACK = {
    'det': "dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'))",
    'seg': "dict(type='PackSegInputs')",
}
# MMSegmentation pads to its crop, and its test windows are as large.
PADDED = """
model = dict(
    data_preprocessor=dict(size=(160, 192)), test_cfg=dict(mode='slide', crop_size=(160, 192), stride=(100, 100)))
"""


@pytest.mark.parametrize('task', ATTACKS)
def test_a_crop_larger_than_the_image(task, voc, run, tmp_path):
    config = tmp_path / 'crop.py'
    pipeline = f"[dict(type='LoadImageFromFile'), {CROPS[task]}, {PACK[task]}]"
    config.write_text(
        f"_base_ = '{CONFIGS}/demo/scenes_{task}_align.py'\n"
        f'train_dataloader = dict(dataset=dict(pipeline={pipeline}))\n' + (PADDED if task == 'seg' else '')
    )
    for stage in STAGES:
        done = run(stage, task, config=config)
        assert done.code == 0, done
    measured(task)


# --- files ----------------------------------------------------------------------------------------------------------


def read_as(color_type: str) -> list[str]:
    return [f'{stage}_dataloader.dataset.pipeline.0.color_type={color_type}' for stage in STAGES]


@pytest.mark.parametrize('task', ATTACKS)
def test_grey_files(task, voc, run):
    """Hosts read them as three equal channels, unless they are told otherwise."""
    for name in ('train_0002', 'test_0001'):
        path = str(voc / 'JPEGImages' / f'{name}.jpg')
        cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_GRAYSCALE))
    for stage in STAGES:
        done = run(stage, task)
        assert done.code == 0, done
    measured(task)
    for stage, name in (('train', 'train_0002'), ('test', 'test_0001')):
        refused = run(stage, task, *read_as('unchanged')).error
        assert re.search(name + r"\.jpg has shape \(1, 128, 128\).*color_type='color'", refused)
    assert re.search(r'test_0000\.jpg has shape', run('test', task, *read_as('grayscale')).error)


DAMAGES = {
    'empty': lambda content: b'',
    'garbage': lambda content: b'no image',
    # OpenCV before version 5 shows the rest as grey or noise.
    'cut': lambda content: content[: len(content) // 2],
}


@pytest.mark.parametrize(
    ('damage', 'task', 'stage', 'workers'),
    [
        ('empty', 'det', 'train', 0),
        ('empty', 'seg', 'train', 1),
        ('empty', 'seg', 'test', 0),
        ('garbage', 'det', 'train', 1),
        ('garbage', 'seg', 'test', 0),
        ('cut', 'seg', 'train', 0),
        ('cut', 'det', 'test', 1),
    ],
)
def test_an_image_that_cannot_be_read(damage, task, stage, workers, voc, run):
    name = {'train': 'train_0002', 'test': 'test_0001'}[stage]
    path = voc / 'JPEGImages' / f'{name}.jpg'
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    done = run(stage, task, f'{stage}_dataloader.num_workers={workers}')
    assert f'{name}.jpg is no image that can be read' in done.error
