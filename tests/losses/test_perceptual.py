import copy
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mmadvdefense.networks  # noqa: F401  (registers TorchvisionVGG)
from mmadvdefense.losses import PerceptualLoss
from mmadvdefense.registry import MODELS


class ToyBackbone(nn.Module):
    """Every kind of layer that has gone wrong: in-place ReLU, batch norm, dropout."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)
        self.passes = 0

    def forward(self, x):
        self.passes += 1
        return self.dropout(self.relu(self.bn(self.conv(x))))


@pytest.fixture(autouse=True)
def toy_backbone():
    MODELS.register_module('ToyBackbone', module=ToyBackbone)
    yield
    MODELS.module_dict.pop('ToyBackbone')


def toy(**kwargs):
    torch.manual_seed(0)
    kwargs.setdefault('layers', ('bn', 'dropout'))
    kwargs.setdefault('weights', 'random')
    kwargs.setdefault('channel_order', 'rgb')
    return PerceptualLoss(dict(type='ToyBackbone'), **kwargs)


def images(seed, size=16, **kwargs):
    return (torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1).requires_grad_(
        **kwargs
    )


def test_identical_images_are_at_distance_zero():
    image = images(0)
    assert toy()(image, image.clone()).item() == 0
    assert toy()(image, images(1)).item() > 0


@pytest.mark.parametrize('order', ['bgr', 'rgb'])
def test_value(order):
    loss = toy(layer_weights=(0.25, 2.0), channel_order=order)
    net = copy.deepcopy(loss.extractor.network)

    def layers(image):
        pixels = (image + 1) * 127.5
        pixels = pixels.flip(1) if order == 'bgr' else pixels
        mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
        bn = net.bn(net.conv((pixels - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)))
        return bn, bn.relu()

    a, b = images(0), images(1)
    expected = sum(w * F.l1_loss(p, q) for w, p, q in zip((0.25, 2.0), layers(a), layers(b)))
    torch.testing.assert_close(loss(a, b), expected)


def test_raw_range_of_the_released_code():
    """A mean and std of 127.5 show the network the images in [-1, 1] as they are."""
    loss = toy(mean=(127.5,) * 3, std=(127.5,) * 3)
    seen = []
    loss.extractor.network.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    a, b = images(0), images(1)
    loss(a, b)
    torch.testing.assert_close(torch.cat(seen), torch.cat([a, b]).detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize('detach_guide', [True, False])
def test_gradients_reach_images_and_not_the_network(detach_guide):
    loss = toy(detach_guide=detach_guide)
    purified, guide = images(0), images(1)
    loss(purified, guide).backward()
    assert purified.grad.abs().sum() > 0
    assert (guide.grad is None) == detach_guide
    assert all(parameter.grad is None for parameter in loss.extractor.network.parameters())


def test_channel_order_is_never_guessed():
    loss = toy(channel_order=None)
    with pytest.raises(ValueError, match="needs channel_order='bgr' or 'rgb'"):
        loss(images(0), images(1))
    loss.channel_order = 'rgb'
    torch.testing.assert_close(loss(images(0), images(1)), toy()(images(0), images(1)))


def test_network_is_hidden_but_follows_to():
    loss = toy()
    assert not loss.state_dict() and not list(loss.parameters())
    loss.train().requires_grad_()
    assert not any(module.training for module in loss.extractor.network.modules())
    assert not any(parameter.requires_grad for parameter in loss.extractor.network.parameters())
    before = copy.deepcopy(loss.extractor.network.state_dict())
    loss(images(0), images(1))
    torch.testing.assert_close(loss.extractor.network.state_dict(), before)
    parent = nn.ModuleList([loss]).to(torch.float64)
    assert parent[0].extractor.network.conv.weight.dtype == torch.float64
    assert loss(images(0).double(), images(1).double()).dtype == torch.float64
    assert not any(module._forward_hooks for module in loss.extractor.network.modules())


@pytest.mark.parametrize('detach_guide', [True, False])
def test_terms_equal_forward_in_two_passes(detach_guide, make_batch):
    loss = toy(clean_weight=2.0, adv_weight=3.0, loss_weight=5.0, detach_guide=detach_guide)
    pixels = dict(clean=images(0, requires_grad=False), purified_clean=images(1), purified_adversarial=images(2))
    terms = loss.terms(make_batch(pixels=pixels))
    assert loss.extractor.network.passes == (2 if detach_guide else 1)
    expected = dict(
        loss_perceptual_clean=10 * loss(pixels['purified_clean'], pixels['clean']),
        loss_perceptual_adv=15 * loss(pixels['purified_adversarial'], pixels['purified_clean']),
    )
    torch.testing.assert_close(terms, expected)
    inputs = [pixels['purified_clean'], pixels['purified_adversarial']]
    grads = [torch.autograd.grad(sum(value.values()), inputs) for value in (terms, expected)]
    torch.testing.assert_close(*grads)


def test_zero_weights_are_not_computed(make_batch):
    loss = toy(clean_weight=0.0, adv_guide='clean')
    pixels = dict(clean=images(0), purified_adversarial=images(2))
    assert list(loss.terms(make_batch(pixels=pixels))) == ['loss_perceptual_adv']
    loss = toy(loss_weight=0.0)
    assert loss.terms(make_batch()) == {} and loss.extractor.network.passes == 0


def test_vgg16_at_the_papers_layers():
    loss = PerceptualLoss(weights='random', channel_order='bgr')
    assert not loss.state_dict()
    features = loss.extractor(images(0, size=32))
    assert [(f.shape[1], f.shape[2]) for f in features] == [(64, 32), (128, 16), (256, 8), (512, 4), (512, 2)]
    assert all((feature >= 0).all() for feature in features)
    image = images(1, size=32)
    loss(image, images(2, size=32)).backward()
    assert image.grad.abs().sum() > 0


def test_backbone_of_mmpretrain():
    pytest.importorskip('mmpretrain.models')
    network = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)
    loss = PerceptualLoss(network, layers=('relu', 'layer4'), weights='random', channel_order='bgr')
    image = images(0)
    loss(image, images(1)).backward()
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_checkpoint_is_loaded(tmp_path, prefix):
    trained = ToyBackbone()
    state = {prefix + name: value for name, value in trained.state_dict().items()}
    path = tmp_path / 'net.pth'
    torch.save({'state_dict': state | {'head.weight': torch.zeros(1)}}, path)
    torch.testing.assert_close(
        toy(weights=str(path)).extractor.network.conv.weight, trained.conv.weight, check_stride=True
    )


def test_checkpoint_of_another_network(tmp_path):
    path = tmp_path / 'net.pth'
    torch.save({'fc.weight': torch.zeros(1)}, path)
    with pytest.raises(RuntimeError, match=r"lacks 6 of the 6 tensors of ToyBackbone, the first is 'conv.weight'"):
        toy(weights=str(path))


def test_missing_file_is_reported_as_such():
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        toy(weights='nowhere.pth')


def test_message_without_network(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise URLError('no route to host')

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', offline)
    with pytest.raises(RuntimeError) as error:
        PerceptualLoss()
    message = str(error.value)
    assert 'https://download.pytorch.org/models/vgg16-397923af.pth' in message
    assert str(tmp_path / 'hub' / 'checkpoints' / 'vgg16-397923af.pth') in message
    assert "weights='path/to/file'" in message


def test_weights_in_the_hub_directory_are_used(monkeypatch, tmp_path):
    trained = MODELS.build(dict(type='TorchvisionVGG', depth=11))
    (tmp_path / 'hub' / 'checkpoints').mkdir(parents=True)
    torch.save(trained.state_dict(), tmp_path / 'hub' / 'checkpoints' / 'vgg11-8a719046.pth')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    loss = PerceptualLoss(dict(type='TorchvisionVGG', depth=11), ('features.1',), weights='torchvision://vgg11')
    torch.testing.assert_close(loss.extractor.network.features[0].weight, trained.features[0].weight)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(layers=('bn', 'relu_7')), "no layer 'relu_7'"),
        (dict(layers=()), 'layers is empty'),
        (dict(layer_weights=(1.0,)), '2 layers but 1 layer_weights'),
        (dict(channel_order='grb'), "'bgr' or 'rgb', not 'grb'"),
        (dict(weights='torchvision://vgg17'), "no weights 'vgg17'"),
        (dict(adv_guide='noise'), "adv_guide='noise'"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        toy(**kwargs)


def test_weights_none_asks_the_network_to_load_its_own(monkeypatch):
    calls = []
    monkeypatch.setattr(ToyBackbone, 'init_weights', lambda self: calls.append(self), raising=False)
    loss = toy(weights=None)
    assert calls == [loss.extractor.network]
