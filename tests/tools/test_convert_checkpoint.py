import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

from mmadvdefense.networks.cifar_resnet import CIFARResNet

TOOL = Path(__file__).parents[2] / 'tools' / 'convert_checkpoint.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('convert_checkpoint', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _theirs(depth=14, num_classes=10):
    """Random weights in the layout of the published CIFAR ResNets."""
    linear = {f'linear.{key}': value for key, value in nn.Linear(64, num_classes).state_dict().items()}
    return {**CIFARResNet(depth=depth).state_dict(), **linear}


@pytest.mark.parametrize(
    'wrap',
    [
        lambda state: state,
        lambda state: dict(state_dict=state, epoch=3),
        lambda state: dict(state_dict={f'module.{key}': value for key, value in state.items()}),
    ],
    ids=['bare', 'nested', 'data_parallel'],
)
def test_cifar_resnet_round_trip(tool, tmp_path, capsys, wrap):
    theirs = _theirs()
    torch.save(wrap(theirs), tmp_path / 'src.pth')
    destination = tmp_path / 'new' / 'dst.pth'
    assert tool.main(['cifar_resnet', str(tmp_path / 'src.pth'), str(destination)]) == 0
    converted = torch.load(destination, weights_only=True)
    assert converted['meta']['kind'] == 'cifar_resnet' and converted['meta']['converted_from'] == 'src.pth'
    ours = converted['state_dict']
    assert len(ours) == len(theirs)
    for key, value in theirs.items():
        key = f'head.fc.{key[7:]}' if key.startswith('linear.') else f'backbone.{key}'
        assert torch.equal(ours[key], value), key
    assert [path.name for path in destination.parent.iterdir()] == ['dst.pth'], 'temporary file left behind'
    assert str(len(theirs)) in capsys.readouterr().out


def test_converted_model_loads_in_mmpretrain(tool):
    pytest.importorskip('mmpretrain')
    from mmengine import Config
    from mmpretrain import get_model

    cfg = Config.fromfile(TOOL.parents[1] / 'configs' / 'target' / 'resnet20_cifar10.py')
    model = get_model(cfg, device='cpu')
    model.load_state_dict(tool.convert_cifar_resnet(_theirs(depth=20)), strict=True)


def _without(key):
    state = _theirs()
    del state[key]
    return state


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (lambda: [1, 2], 'no state dict'),
        (lambda: {}, 'no state dict'),
        (lambda: dict(state_dict=dict(a=1)), 'more than named tensors'),
        (lambda: _without('linear.bias'), 'linear layer'),
        (lambda: _without('layer2.0.conv1.weight'), 'layer2.0.conv1.weight'),
        (lambda: dict(_theirs(), extra=torch.zeros(1)), 'extra'),
        (lambda: dict(_theirs(), **{'conv1.weight': torch.zeros(8, 3, 3, 3)}), 'conv1.weight'),
        (lambda: {'linear.weight': torch.zeros(10, 64), 'linear.bias': torch.zeros(10)}, 'no residual blocks'),
        # a class that is not on torch's list of safe ones
        (lambda: dict(state_dict=_theirs(), run=Path('x')), 'plain tensors'),
    ],
)
def test_bad_layout(tool, tmp_path, capsys, content, message):
    torch.save(content(), tmp_path / 'src.pth')
    assert tool.main(['cifar_resnet', str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')]) == 2
    _assert_one_line(capsys, message)
    assert not (tmp_path / 'dst.pth').exists()


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'\x80\x02}q', b'PK\x03\x04broken'])
def test_no_checkpoint(tool, tmp_path, capsys, content):
    (tmp_path / 'src.pth').write_bytes(content)
    assert tool.main(['cifar_resnet', str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')]) == 2
    _assert_one_line(capsys, 'not a checkpoint')


def test_missing_file(tool, tmp_path, capsys):
    assert tool.main(['cifar_resnet', str(tmp_path / 'none.pth'), str(tmp_path / 'dst.pth')]) == 2
    _assert_one_line(capsys, 'none.pth')


def test_directory_in_the_way(tool, tmp_path, capsys):
    torch.save(_theirs(), tmp_path / 'src.pth')
    (tmp_path / 'dst.pth').mkdir()
    assert tool.main(['cifar_resnet', str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')]) == 2
    _assert_one_line(capsys, 'dst.pth')
    assert {path.name for path in tmp_path.iterdir()} == {'src.pth', 'dst.pth'}


@pytest.mark.parametrize('kind', ['pix2pixhd_generator', 'pix2pixhd_discriminator'])
def test_other_kinds_reject_a_cifar_resnet(tool, tmp_path, capsys, kind):
    torch.save(_theirs(), tmp_path / 'src.pth')
    assert tool.main([kind, str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')]) == 2
    _assert_one_line(capsys, kind)


def test_unknown_kind(tool, capsys):
    with pytest.raises(SystemExit) as stop:
        tool.main(['vgg', 'a', 'b'])
    assert stop.value.code == 2
    assert 'cifar_resnet' in capsys.readouterr().err


def _assert_one_line(capsys, message):
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1 and message in error, error
