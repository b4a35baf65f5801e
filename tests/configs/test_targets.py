"""Every config of an undefended model builds and runs; the published weights do what they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner

from mmadvdefense.registry import HOOKS
from mmadvdefense.training import purifier_config, recipes

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]
CLASSES = dict(digits=10, cifar10=10, cifar100=100, tinyimagenet=200)
DENSE_CLASSES = dict(voc=20, bccd=3, cityscapes=19, voc2012=21, camvid=11)
DETECTION = ('voc', 'bccd')
STEMS = sorted(path.stem for path in (ROOT / 'configs' / 'target').glob('*.py'))


def data_of(stem: str) -> str:
    return 'digits' if stem.startswith('digits') else stem.rpartition('_')[2]


CLASSIFIERS = [stem for stem in STEMS if data_of(stem) in CLASSES]
DENSE = [stem for stem in STEMS if data_of(stem) in DENSE_CLASSES]


def test_configs_are_found():
    assert len(CLASSIFIERS) == 12 and len(DENSE) == 15


@pytest.mark.parametrize('stem', CLASSIFIERS)
def test_classifier_builds_and_runs(stem, read):
    from mmpretrain import get_model
    from mmpretrain.registry import DATASETS

    config = read(f'target/{stem}')
    assert DATASETS.get(config.train_dataloader.dataset.type) is not None
    model = get_model(config, device='cpu').eval()
    batch = model.data_preprocessor(dict(inputs=[torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)]))
    with torch.no_grad():
        logits = model.head(model.extract_feat(batch['inputs']))
    num_classes = CLASSES[data_of(stem)]
    assert logits.shape == (1, num_classes) and logits.isfinite().all()
    assert config.data_preprocessor.num_classes == num_classes


@pytest.mark.parametrize('stem', DENSE)
def test_dense_model_builds_and_runs(stem, load, poisoned):
    config, data = load(f'target/{stem}'), data_of(stem)
    with poisoned():
        # MMDetection's L2Norm holds what the memory held, until it is initialised.
        model = MODELS.build(config.model).eval()
        model.init_weights()
    assert all(value.isfinite().all() for value in model.state_dict().values())
    head = model.bbox_head if data in DETECTION else model.decode_head
    assert head.num_classes == DENSE_CLASSES[data]
    size = config.get('image_size', (64, 64))[::-1]
    with torch.no_grad():
        outputs = model(torch.rand(1, 3, *size), mode='tensor')
    assert all(output.isfinite().all() for output in _tensors(outputs))
    ignore_index = config.get('ignore_index', 255)
    if data not in DETECTION:
        heads = [model.decode_head, *([model.auxiliary_head] if model.with_auxiliary_head else [])]
        assert {head.ignore_index for head in heads} == {ignore_index} == {model.data_preprocessor.seg_pad_val}
        assert config.val_evaluator.get('ignore_index', 255) == ignore_index
        assert model.data_preprocessor.size == config.crop_size


def _tensors(outputs) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [tensor for output in outputs for tensor in _tensors(output)]


@pytest.mark.parametrize(
    ('name', 'batch_size'),
    [('cifar10', 64), ('cifar100', 64), ('cifar10_folder', 64), ('tinyimagenet', 16), ('digits', 64)],
)
def test_paper_batch_sizes(name, batch_size):
    config = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    assert config.train_dataloader.batch_size == batch_size
    assert not config.val_dataloader.sampler.shuffle


@pytest.mark.parametrize(('scope', 'stem'), [('mmdet', 'light_ssd_bccd'), ('mmseg', 'light_pspnet_camvid')])
def test_one_line_gets_the_default_recipe(scope, stem, read):
    config = read(f'target/{stem}')
    config.model.data_preprocessor.type = 'AlignPurifier'
    purifier_config.prepare_purifier(config)
    recipes.complete_training(config)
    assert config.default_scope == scope
    hook = HOOKS.build(dict(config.custom_hooks[0]))
    assert hook.feature_layer is None
    assert not any(type(loss).__name__ == 'PerceptualLoss' for loss in hook.losses), 'nothing to download'
    assert MODELS.build(config.model).data_preprocessor.discriminator is not None
    # The learning rate is that of the recipe, and so is the batch that it belongs to.
    assert config.auto_scale_lr.base_batch_size == 4


@pytest.mark.parametrize('stem', ['digits_target', 'digits_source'])
def test_digits_train(stem, read, tmp_path):
    """Two iterations with the config's own runner settings."""
    config = read(f'target/{stem}')
    config.work_dir = str(tmp_path)
    config.experiment_name = f'test_{stem}_{tmp_path.name}'
    # Storage is not what this test is about.
    config.default_hooks.checkpoint = None
    config.train_cfg.max_epochs = 1
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.num_workers = 0
        loader.batch_size = 4
        loader.dataset.indices = 8
    runner = Runner.from_cfg(config)
    before = runner.model.head.fc.weight.detach().clone()
    runner.train()
    assert not torch.equal(runner.model.head.fc.weight, before)
    assert runner.model.head.fc.weight.isfinite().all()


@pytest.mark.parametrize(('depth', 'accuracy'), [(20, 86.75), (56, 88.2)])
def test_published_weights(depth, accuracy, read, tmp_path):
    """Normalisation or channel order gone wrong costs more than ten points."""
    checkpoint = ROOT / 'checkpoints' / f'resnet{depth}_cifar10.pth'
    data = ROOT / 'data' / 'cifar10'
    if not checkpoint.is_file() or not (data / 'test').is_dir():
        pytest.skip(f'needs checkpoints/{checkpoint.name} and data/cifar10/test/')
    config = read(f'target/resnet{depth}_cifar10')
    config.work_dir = str(tmp_path)
    config.experiment_name = f'test_resnet{depth}_{tmp_path.name}'
    config.default_hooks.checkpoint = None
    config.load_from = str(checkpoint)
    config.test_dataloader.dataset.data_root = str(data)
    # every 4th image: 50 of each class
    config.test_dataloader.dataset.indices = list(range(0, 2000, 4))
    assert Runner.from_cfg(config).test()['accuracy/top1'] == pytest.approx(accuracy, abs=5)
