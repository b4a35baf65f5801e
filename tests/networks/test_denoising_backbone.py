"""Denoising blocks in backbones of the hosts: same names, same output until they are trained."""

import copy
import pickle

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.networks import DenoisingBlock

pytest.importorskip('mmpretrain')
RESNET = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(1, 3))
BACKBONES = {
    'resnet': ('mmpretrain', RESNET, dict(after='stages'), [8, 16, 32, 64]),
    'blocks': ('mmpretrain', RESNET, dict(after='blocks'), [8, 8, 16, 16, 32, 32, 64, 64]),
    'cifar': ('mmpretrain', dict(type='CIFARResNet', depth=8), {}, [16, 32, 64]),
    'wide': ('mmpretrain', dict(type='WideResNet', depth=10, widen_factor=1), dict(after='stages'), [16, 32, 64]),
    'named': ('mmpretrain', RESNET, dict(after=['layer2.0', 'maxpool']), [16, 8]),
    'vgg': ('mmpretrain', dict(type='VGG', depth=11), dict(after=['features.7'], kind='mean'), [512]),
    'detector': ('mmdet', dict(RESNET, norm_eval=False), dict(kind='median'), [8, 16, 32, 64]),
    'segmentor': ('mmseg', dict(RESNET, type='ResNetV1c'), dict(kind='bilateral'), [8, 16, 32, 64]),
}


def build(scope, config, **settings):
    pytest.importorskip(scope)
    __import__(f'{scope}.models')
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope(scope):
        torch.manual_seed(0)
        return MODELS.build(dict(config, **settings))


@pytest.fixture(params=BACKBONES)
def pair(request):
    """A plain backbone with other than its initial weights, and the same with blocks; and the blocks' widths."""
    scope, config, settings, widths = BACKBONES[request.param]
    plain = build(scope, config)
    for parameter in plain.parameters():
        nn.init.normal_(parameter, std=0.1)
    denoising = build(scope, dict(type='DenoisingBackbone', backbone=config, **settings))
    return plain, denoising, widths


def outputs(network, images):
    with torch.no_grad():
        maps = network(images)
    return maps if isinstance(maps, tuple) else (maps,)


IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_equals_the_plain_backbone_at_the_start(pair):
    plain, denoising, widths = pair
    assert type(denoising) is type(plain)
    blocks = [module for module in denoising.modules() if isinstance(module, DenoisingBlock)]
    assert [block.conv.in_channels for block in blocks] == widths
    missing, unexpected = denoising.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and all(name.startswith('denoising.') for name in missing)
    for mode in (True, False):
        for network in pair[:2]:
            network.train(mode)
        for ours, theirs in zip(outputs(denoising, IMAGES), outputs(plain, IMAGES)):
            assert torch.equal(ours, theirs)


def test_blocks_count_once_they_are_trained(pair):
    _, denoising, _ = pair
    denoising.eval()
    before = outputs(denoising, IMAGES)[-1]
    for module in denoising.modules():
        if isinstance(module, DenoisingBlock):
            nn.init.ones_(module.bn.weight)
            nn.init.ones_(module.bn.bias)
    assert not torch.allclose(outputs(denoising, IMAGES)[-1], before)


def test_the_backbone_s_own_initialisation_leaves_the_identity():
    denoising = build('mmpretrain', dict(type='DenoisingBackbone', backbone=RESNET))
    nn.init.ones_(denoising.denoising['layer1'].bn.weight)
    nn.init.ones_(denoising.denoising['layer1'].theta.weight)
    denoising.init_weights()
    for block in denoising.denoising.values():
        assert block.bn.weight.eq(0).all() and 0 < block.theta.weight.std() < 0.02


def test_a_copy_has_blocks_of_its_own():
    """As an averaged model, or a process of its own, gets it."""
    denoising = build('mmpretrain', dict(type='DenoisingBackbone', backbone=RESNET))
    denoising.eval()
    before = outputs(denoising, IMAGES)[-1]
    for copied in (copy.deepcopy(denoising), pickle.loads(pickle.dumps(denoising))):
        nn.init.ones_(copied.denoising['layer4'].bn.weight)
        assert not torch.allclose(outputs(copied, IMAGES)[-1], before)
        assert torch.equal(outputs(denoising, IMAGES)[-1], before)


def test_building_disturbs_nothing():
    denoising = build('mmpretrain', dict(type='DenoisingBackbone', backbone=RESNET))
    assert denoising.training and all(module.training for module in denoising.modules())
    assert denoising.bn1.running_mean.eq(0).all() and denoising.bn1.num_batches_tracked == 0
    assert sum(len(module._forward_hooks) for module in denoising.modules()) == 4


def test_gradients_reach_all_blocks():
    denoising = build('mmpretrain', dict(type='DenoisingBackbone', backbone=RESNET, after='blocks'))
    denoising(IMAGES)[-1].square().sum().backward()
    assert all(block.bn.weight.grad.abs().sum() > 0 for block in denoising.denoising.values())


@pytest.mark.parametrize(
    ('backbone', 'settings', 'message'),
    [
        (RESNET, dict(after=['layer5']), "ResNet has no layer 'layer5'; did you mean .*layer4"),
        (RESNET, dict(after='layer1'), "after must be 'stages', 'blocks' or a list of layers, got 'layer1'"),
        (RESNET, dict(kind='gauss'), "unknown denoising kind 'gauss'"),
        (RESNET, dict(after=['layer1.0.drop_path']), None),
        (
            dict(type='VGG', depth=11),
            {},
            r'VGG has no stages layer1.*after=\[...\]; its children are features',
        ),
        (dict(type='VGG', depth=11), dict(after=['features']), "VGG never calls its layer 'features' as a module"),
        (
            dict(type='VGG', depth=11, num_classes=10),
            dict(after=['classifier'], input_size=(224, 224)),
            r"output of layer 'classifier' is not a feature map \(N, C, H, W\) but \(1, 10\)",
        ),
    ],
)
def test_layers_that_cannot_be_denoised(backbone, settings, message):
    config = dict(type='DenoisingBackbone', backbone=backbone, **settings)
    if message is None:
        assert build('mmpretrain', config).denoising.keys() == {'layer1_0_drop_path'}
        return
    with pytest.raises(ValueError, match=message):
        build('mmpretrain', config)
