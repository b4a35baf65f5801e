"""``PurifiedInferencer`` over the inference APIs of the hosts."""

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmadvdefense.apis import PurifiedInferencer
from mmadvdefense.apis.inferencer import build_host_inferencer
from mmadvdefense.errors import StateError, UsageError
from mmadvdefense.hosts import HOSTS
from mmadvdefense.models import build_model

CONFIGS = Path(__file__).parents[2] / 'configs'
# 8-bit images stay 8-bit images, so that the host can be given what the purifier made of them.
MEDIAN = dict(type='MedianFilterPurifier', kernel_size=3)
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
META = dict(meta_keys=('img_path', 'ori_shape', 'img_shape', 'scale_factor'))
DATA = {
    'mmpretrain': ('digits_target', dict(type='CustomDataset', pipeline=[LOAD, PACK])),
    'mmseg': ('light_pspnet', dict(type='BaseSegDataset', pipeline=[LOAD, dict(type='PackSegInputs')])),
    'mmdet': (
        'light_ssd',
        dict(
            type='CocoDataset',
            ann_file='',
            # Detectors need a scale; it is 1 for the images here.
            pipeline=[LOAD, dict(type='Resize', scale=(96, 64)), dict(type='PackDetInputs', **META)],
        ),
    ),
}


@pytest.fixture
def make_files(tmp_path):
    """The config and the checkpoint of a small model with random weights."""

    def make(scope: str) -> tuple[Config, str]:
        pytest.importorskip(scope)
        name, dataset = DATA[scope]
        config = Config.fromfile(CONFIGS / '_base_' / 'models' / f'{name}.py')
        config.merge_from_dict(dict(default_scope=scope, test_dataloader=dict(dataset=dataset)))
        if scope == 'mmpretrain':
            config.data_preprocessor = dict(mean=[100.0] * 3, std=[60.0] * 3, to_rgb=True)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = build_model(config)
        meta = dict(dataset_meta=dict(classes=[f'c{i}' for i in range(20)], palette=[(i, i, i) for i in range(20)]))
        torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'model.pth')
        return config, str(tmp_path / 'model.pth')

    return make


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three images and a file that is none; ``c.png`` comes last, whatever the order on the disk."""
    path = tmp_path / 'images'
    path.mkdir()
    (path / 'notes.txt').write_text('no image')
    for seed, name in enumerate('cab'):
        image = np.random.default_rng(seed).integers(256, size=(64, 96, 3), dtype=np.uint8)
        mmcv.imwrite(cv2.GaussianBlur(image, (5, 5), 2), str(path / f'{name}.png'))
    return path


def _flat(result) -> list:
    """The arrays and numbers of a host's result."""
    if isinstance(result, dict):
        return [value for name in sorted(result) for value in _flat(result[name])]
    if isinstance(result, (list, tuple)):
        return [value for item in result for value in _flat(item)]
    return [] if result is None or isinstance(result, str) else [np.asarray(result, dtype=float)]


@pytest.mark.parametrize('scope', HOSTS)
def test_returns_what_the_host_returns_for_purified_images(make_files, folder, scope, capsys):
    config, checkpoint = make_files(scope)
    before = copy.deepcopy(config.to_dict())
    inferencer = PurifiedInferencer(config, checkpoint, MEDIAN, device='cpu')
    assert 'missing keys' not in capsys.readouterr().out
    result, purified = inferencer(str(folder), return_purified=True, batch_size=2)
    originals = [mmcv.imread(str(folder / f'{name}.png')) for name in 'abc']
    for original, own in zip(originals, purified):
        np.testing.assert_array_equal(own.image, original + own.change)
        assert own.linf > 5
    assert config.to_dict() == before, 'the caller keeps its config'

    host = build_host_inferencer(_bare(config, scope), checkpoint, device='cpu')
    expected = host([own.image for own in purified])
    assert type(result) is type(expected)
    for ours, theirs in zip(_flat(result), _flat(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    # A single path, and without the images.
    single = inferencer(folder / 'a.png')
    for ours, theirs in zip(_flat(single), _flat(host(purified[0].image)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def _bare(config: Config, scope: str) -> Config:
    bare = config.copy()
    bare.visualizer = dict(type=HOSTS[scope].visualizer)
    return bare


@pytest.mark.parametrize('scope', HOSTS)
def test_video(make_files, tmp_path, scope):
    path = str(tmp_path / 'film.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 5, (96, 64))
    for step in range(3):
        frame = np.full((64, 96, 3), 60 * step + 20, np.uint8)
        frame[10 * step : 10 * step + 20, 20:60] = 230
        writer.write(frame)
    writer.release()
    inferencer = PurifiedInferencer(*make_files(scope), MEDIAN, device='cpu')
    result, purified = inferencer(path, return_purified=True, batch_size=2)
    frames = list(mmcv.VideoReader(path))
    expected = inferencer(frames)
    assert type(result) is type(expected) and len(purified) == len(frames) == 3
    predictions = result if isinstance(result, list) else result['predictions']
    assert isinstance(predictions, list) and len(predictions) == 3
    for ours, theirs in zip(_flat(result), _flat(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_bad_input(make_files, tmp_path, folder, export_file):
    config, checkpoint = make_files('mmpretrain')
    with pytest.raises(UsageError, match="the config has no purifier: give one, such as purifier='zoo://"):
        PurifiedInferencer(config, checkpoint)
    with pytest.raises(StateError, match='AlignPurifier is untrained'):
        PurifiedInferencer(config, checkpoint, 'AlignPurifier', device='cpu')
    with pytest.raises(FileNotFoundError, match=r'there is no checkpoint nowhere\.pth'):
        PurifiedInferencer(config, 'nowhere.pth', MEDIAN)
    torch.save({'state_dict': {'backbone.other': torch.zeros(1)}}, tmp_path / 'other.pth')
    with pytest.raises(UsageError, match=r'other\.pth has nothing for this model'):
        PurifiedInferencer(config, tmp_path / 'other.pth', MEDIAN, device='cpu')
    inferencer = PurifiedInferencer(config, checkpoint, export_file, device='cpu')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UsageError, match='there is no image in .*empty; known endings'):
        inferencer(tmp_path / 'empty')
    with pytest.raises(FileNotFoundError, match='there is no image or folder nowhere.png'):
        inferencer('nowhere.png')
    with pytest.raises(UsageError, match='show_dir numbers the frames'):
        inferencer('film.mp4', show_dir='out')
