"""Every config of a defense that is not trained can be built as it is and is in front of its target."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.purifiers import PatchDatabase
from mmadvdefense.training import purifier_config, recipes

pytest.importorskip('mmpretrain')

FOLDER = Path(__file__).parents[1] / 'configs' / 'defense'
TYPES = {
    'bit_depth': 'BitDepthPurifier',
    'chain': 'PurifierChain',
    'jpeg': 'JPEGPurifier',
    'mean_filter': 'MeanFilterPurifier',
    'median_filter': 'MedianFilterPurifier',
    'pixel_deflection': 'PixelDeflectionPurifier',
    'quilting': 'QuiltingPurifier',
    'random_resize_pad': 'RandomResizePadPurifier',
    'total_variation': 'TotalVariationPurifier',
}


@pytest.mark.parametrize('name', TYPES)
def test_builds(name, make_images, tmp_path):
    config = Config.fromfile(FOLDER / f'resnet20_cifar10_{name}.py')
    assert config.data_preprocessor.type == TYPES[name]
    if name == 'pixel_deflection':
        pytest.importorskip('skimage')
        pytest.importorskip('pywt')
    before = config.to_dict()
    with DefaultScope.overwrite_default_scope(config.default_scope):
        purifier_config.prepare_purifier(config)
        recipes.complete_purifier(config)
        recipes.complete_training(config)
        assert config.to_dict() == before
        if 'patches' in config.data_preprocessor:
            config.data_preprocessor.patches = str(tmp_path / 'patches.pth')
            PatchDatabase.draw([make_images(5, 3, 32, 32)], 'bgr').save(config.data_preprocessor.patches)
        purifier = MODELS.build(config.data_preprocessor)
    assert purifier.native.mean.flatten().tolist() == pytest.approx(config.data_preprocessor['mean'])
    target = Config.fromfile(FOLDER.parent / 'target' / 'resnet20_cifar10.py')
    assert config.model == target.model and config.test_dataloader == target.test_dataloader
    assert config.load_from == 'checkpoints/resnet20_cifar10.pth'
    images = make_images(2, 3, 32, 32)
    assert purifier.clean(images).shape == images.shape
