"""Every config of an undefended classifier parses, builds and runs; the published weights do what they should."""

from pathlib import Path

import pytest
import torch
from mmengine import Config

import mmadvdefense.datasets
import mmadvdefense.networks  # noqa: F401

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[1]
NUM_CLASSES = dict(digits=10, cifar10=10, cifar100=100, tinyimagenet=200)
CONFIGS = sorted(
    path for path in (ROOT / 'configs' / 'target').glob('*.py') if any(data in path.stem for data in NUM_CLASSES)
)


def _num_classes(path):
    return next(number for name, number in sorted(NUM_CLASSES.items(), reverse=True) if name in path.stem)


def test_configs_are_found():
    assert len(CONFIGS) == 10


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_builds_and_runs(path):
    from mmpretrain import get_model
    from mmpretrain.registry import DATASETS

    cfg = Config.fromfile(path)
    assert DATASETS.get(cfg.train_dataloader.dataset.type) is not None
    model = get_model(cfg, device='cpu').eval()
    batch = model.data_preprocessor(dict(inputs=[torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)]))
    with torch.no_grad():
        feats = model.extract_feat(batch['inputs'])
        logits = model.head(feats)
    num_classes = _num_classes(path)
    assert logits.shape == (1, num_classes) and logits.isfinite().all()
    assert cfg.data_preprocessor.num_classes == num_classes


@pytest.mark.parametrize(
    ('name', 'batch_size'),
    [('cifar10', 64), ('cifar100', 64), ('cifar10_folder', 64), ('tinyimagenet', 16), ('digits', 64)],
)
def test_paper_batch_sizes(name, batch_size):
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    assert cfg.train_dataloader.batch_size == batch_size
    assert not cfg.val_dataloader.sampler.shuffle


@pytest.mark.parametrize('name', ['digits_target', 'digits_source'])
def test_digits_train(name, tmp_path):
    """Two iterations with the config's own runner settings."""
    from mmengine.runner import Runner

    cfg = Config.fromfile(ROOT / 'configs' / 'target' / f'{name}.py')
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = f'test_{name}_{tmp_path.name}'
    # Storage is not what this test is about.
    cfg.default_hooks.checkpoint = None
    cfg.train_cfg.max_epochs = 1
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.num_workers = 0
        loader.batch_size = 4
        loader.dataset.indices = 8
    runner = Runner.from_cfg(cfg)
    before = runner.model.head.fc.weight.detach().clone()
    runner.train()
    assert not torch.equal(runner.model.head.fc.weight, before)
    assert runner.model.head.fc.weight.isfinite().all()


@pytest.mark.parametrize(('depth', 'accuracy'), [(20, 86.75), (56, 88.2)])
def test_published_weights(depth, accuracy, tmp_path):
    """Normalisation or channel order gone wrong costs more than ten points."""
    from mmengine.runner import Runner

    checkpoint = ROOT / 'checkpoints' / f'resnet{depth}_cifar10.pth'
    data = ROOT / 'data' / 'cifar10'
    if not checkpoint.is_file() or not (data / 'test').is_dir():
        pytest.skip(f'needs checkpoints/{checkpoint.name} and data/cifar10/test/')
    cfg = Config.fromfile(ROOT / 'configs' / 'target' / f'resnet{depth}_cifar10.py')
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = f'test_resnet{depth}_{tmp_path.name}'
    cfg.default_hooks.checkpoint = None
    cfg.load_from = str(checkpoint)
    cfg.test_dataloader.dataset.data_root = str(data)
    # every 4th image: 50 of each class
    cfg.test_dataloader.dataset.indices = list(range(0, 2000, 4))
    assert Runner.from_cfg(cfg).test()['accuracy/top1'] == pytest.approx(accuracy, abs=5)
