"""Configs of Feature Denoising build and say what the paper says; ResNet-152 without its weights."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.checkpoints import check_state_dict
from mmadvdefense.hooks import AdversarialTrainingHook
from mmadvdefense.hooks.adversarial_train import DENOISING
from mmadvdefense.models import build_model
from mmadvdefense.training import recipes

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[1]
CONFIGS = {
    name: ROOT / 'configs' / 'defense' / f'{name}_denoising.py' for name in ('resnet152_imagenet', 'resnet20_cifar10')
}


def hook_of(config: Config) -> AdversarialTrainingHook:
    (hook,) = config.custom_hooks
    assert hook.type == 'AdversarialTrainingHook'
    return AdversarialTrainingHook(**{key: value for key, value in hook.items() if key != 'type'})


@pytest.mark.parametrize('name', CONFIGS)
def test_training_of_the_paper(name):
    config = Config.fromfile(CONFIGS[name])
    before = config.to_dict()
    with DefaultScope.overwrite_default_scope(config.default_scope):
        recipes.complete_training(config)
    assert config.to_dict() == before, 'the command line adds nothing'
    hook = hook_of(config)
    assert hook.clean_start == 0.2 and hook.attack.targeted == 'random' and hook.attack.random_start == 'uniform'
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.nesterov, optimizer.momentum, optimizer.weight_decay) == ('SGD', True, 0.9, 1e-4)
    assert config.optim_wrapper.paramwise_cfg == dict(norm_decay_mult=0.0, bias_decay_mult=0.0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loss = MODELS.build(config.model.head.loss)
    assert loss.label_smooth_val == 0.1
    assert config.model.backbone.kind == 'nonlocal_embedded' and config.model.backbone.after == 'stages'


def test_imagenet_is_the_paper_s():
    config = Config.fromfile(CONFIGS['resnet152_imagenet'])
    attack = hook_of(config).attack
    assert (attack.eps, attack.steps, attack.step_size) == (16, 30, max(1, 16 / 30))
    warmup, drops = config.param_scheduler
    assert (warmup.type, warmup.begin, warmup.end) == ('LinearLR', 0, 5)
    assert drops.milestones == [35, 70, 95] and config.train_cfg.max_epochs == 110
    lr_of_the_paper = config.optim_wrapper.optimizer.lr * 4096 / config.auto_scale_lr.base_batch_size
    assert lr_of_the_paper == pytest.approx(1.6)
    assert lr_of_the_paper * warmup.start_factor == pytest.approx(0.1)


def test_four_blocks_in_resnet152():
    model = build_model(str(CONFIGS['resnet152_imagenet']))
    blocks = model.backbone.denoising
    assert [block.conv.in_channels for block in blocks.values()] == [256, 512, 1024, 2048]
    extra = sum(parameter.numel() for parameter in blocks.parameters())
    # theta, phi and the convolution, 2 C^2, and the scale and shift of BN
    assert extra == sum(2 * c * c + 2 * c for c in (256, 512, 1024, 2048))
    plain = build_model(str(ROOT / 'configs' / 'target' / 'resnet152_imagenet.py'))
    state = plain.state_dict()
    report = check_state_dict(model, state, ignore=('data_preprocessor.', DENOISING))
    assert not report.missing and not report.unexpected


def test_the_small_one_takes_the_plain_model_s_weights():
    config = Config.fromfile(CONFIGS['resnet20_cifar10'])
    model = build_model(config).eval()
    plain = build_model(str(ROOT / 'configs' / 'target' / 'resnet20_cifar10.py')).eval()
    model.load_state_dict(plain.state_dict(), strict=False)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images, mode='tensor')[-1], plain(images, mode='tensor')[-1])
    assert config.load_from == 'checkpoints/resnet20_cifar10.pth'
