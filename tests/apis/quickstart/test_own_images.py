"""A folder of images in place of a classifier's data."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmadvdefense.apis.quickstart.own_images import with_own_images
from mmadvdefense.errors import UsageError
from mmadvdefense.model_spec import ModelSpec
from mmadvdefense.models import build_model

pytest.importorskip('mmpretrain')
TARGET = Path(__file__).parents[3] / 'configs' / 'target' / 'digits_target.py'
CLASSES = list('abcdefghij')


@pytest.fixture
def config() -> Config:
    """Loads files, as most configs do."""
    config = Config.fromfile(TARGET)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    for name in ('train_dataloader', 'test_dataloader'):
        config[name].dataset = dict(type='CustomDataset', data_root='elsewhere', pipeline=pipeline)
    return config


@pytest.fixture
def make_spec(tmp_path):
    """The files of a classifier, with or without the names of its classes."""

    def make(meta: dict) -> tuple[ModelSpec, torch.nn.Module]:
        with torch.random.fork_rng():
            model = build_model(str(TARGET)).eval()
            torch.manual_seed(0)
            model.init_weights()
            # As decisive as a trained model.
            torch.nn.init.normal_(model.head.fc.weight, std=20)
        torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'model.pth')
        return ModelSpec(str(TARGET), str(tmp_path / 'model.pth')), model

    return make


def _write(folder: Path, names: list[str]) -> Path:
    for seed, name in enumerate(names):
        # Patches of one colour that differ more from image to image than noise does.
        image = np.random.default_rng(seed).integers(256, size=(2, 2, 3), dtype=np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), cv2.resize(image, (32, 32)))
    return folder


def _data(config: Config, part: str) -> list[tuple[str, int]]:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(config[f'{part}_dataloader'].dataset)
    samples = [dataset[index]['data_samples'] for index in range(len(dataset))]
    return [(Path(sample.img_path).stem, int(sample.gt_label)) for sample in samples]


def test_predictions_are_the_ground_truth(config, make_spec, tmp_path):
    spec, model = make_spec({})
    folder = _write(tmp_path / 'pictures', [f'{index:02}.png' for index in range(12)])
    changed = with_own_images(config, spec, folder, tmp_path / 'lists')
    images = [torch.from_numpy(cv2.imread(str(path))).permute(2, 0, 1) for path in sorted(folder.iterdir())]
    predicted = model.test_step(dict(inputs=torch.stack(images).float()))
    labels = [(f'{index:02}', int(sample.pred_label)) for index, sample in enumerate(predicted)]
    assert len({label for _, label in labels}) > 1
    assert _data(changed, 'test') == labels[::2] and _data(changed, 'train') == labels[1::2]


def test_a_default_scope_that_another_run_has_left(config, make_spec, tmp_path):
    spec, _ = make_spec({})
    folder = _write(tmp_path / 'pictures', [f'{index}.png' for index in range(8)])
    DefaultScope.get_instance('left over', scope_name='mmengine')
    assert len(_data(with_own_images(config, spec, folder, tmp_path / 'lists'), 'test')) == 4


def test_folders_are_classes(config, make_spec, tmp_path):
    spec, _ = make_spec(dict(dataset_meta=dict(classes=CLASSES)))
    folder = _write(tmp_path / 'pictures', [f'{name}/{index}.jpg' for name in 'ci' for index in range(4)])
    changed = with_own_images(config, spec, folder, tmp_path / 'lists')
    assert _data(changed, 'test') == [('0', 2), ('2', 2), ('0', 8), ('2', 8)]
    assert changed.test_dataloader.dataset.metainfo.classes == CLASSES

    _write(folder, ['other/0.jpg'])
    with pytest.raises(UsageError, match="'other' is a folder but no class of the model, which has a, b, c"):
        with_own_images(config, spec, folder, tmp_path / 'lists')
    spec, _ = make_spec({})
    with pytest.raises(UsageError, match='the checkpoint does not name its classes'):
        with_own_images(config, spec, folder, tmp_path / 'lists')


def test_what_cannot_be_used(config, make_spec, tmp_path):
    spec, _ = make_spec({})
    few = _write(tmp_path / 'few', ['0.png'])
    many = _write(tmp_path / 'many', [f'{index}.png' for index in range(8)])
    segmentor = Config(dict(default_scope='mmseg', model=dict()))
    arrays = Config.fromfile(TARGET)
    cases = {
        'there is no folder of images .*nowhere': (config, tmp_path / 'nowhere'),
        'few has 1 images, and a quickstart needs at least 8': (config, few),
        '--images is for classifiers.*; for segmentation, set train_dataloader': (segmentor, few),
        r'the test pipeline of the config does not load files \(no LoadImageFromFile\)': (arrays, many),
    }
    for message, (given, folder) in cases.items():
        with pytest.raises((UsageError, FileNotFoundError)) as error:
            with_own_images(given, spec, folder, tmp_path / 'lists')
        assert re.search(message, str(error.value)), str(error.value)
