"""The authors' RFBNet300 lands in MMDetection's modules, every tensor where it belongs."""

import importlib.util
from pathlib import Path

import pytest
import torch

pytest.importorskip('mmdet')
TOOL = Path(__file__).parents[2] / 'tools' / 'convert_checkpoint.py'
# Convolutions of their trunk, by place and width.
TRUNK = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512, 21: 512}
TRUNK |= {24: 512, 26: 512, 28: 512, 31: 1024, 33: 1024}
LEVELS = ((512, 6), (1024, 6), (512, 6), (256, 6), (256, 4), (256, 4))


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('convert_checkpoint', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _random(*shape):
    # Values that tell tensors apart cost less than random ones.
    _random.count += 1
    return torch.full(shape, float(_random.count))


_random.count = 0


def _unit(name, width, into, *kernel):
    """Their convolution with batch norm; checkpoints of PyTorch 0.3 count no batches."""
    norm = {f'{name}.bn.{part}': _random(width) for part in ('weight', 'bias', 'running_mean', 'running_var')}
    return {f'{name}.conv.weight': _random(width, into, *(kernel or (1, 1))), **norm}


def _block(name, into, out, branches):
    state = {}
    for branch, convs in enumerate(branches):
        width = into
        for index, (channels, *kernel) in enumerate(convs):
            state |= _unit(f'{name}.branch{branch}.{index}', channels, width, *kernel)
            width = channels
    fused = sum(convs[-1][0] for convs in branches)
    return state | _unit(f'{name}.ConvLinear', out, fused) | _unit(f'{name}.shortcut', out, into)


def _rfb(name, into, out):
    i = into // 8
    branches = [
        [(2 * i, 1, 1), (2 * i, 3, 3)],
        [(i, 1, 1), (2 * i, 3, 3), (2 * i, 3, 3)],
        [(i, 1, 1), (i // 2 * 3, 3, 3), (2 * i, 3, 3), (2 * i, 3, 3)],
    ]
    return _block(name, into, out, branches)


@pytest.fixture(scope='module')
def theirs():
    state, width = {}, 3
    for place, channels in TRUNK.items():
        kernel = 1 if place == 33 else 3
        state |= {f'base.{place}.weight': _random(channels, width, kernel, kernel)}
        state |= {f'base.{place}.bias': _random(channels)}
        width = channels
    branches = [
        [(128, 1, 1), (128, 3, 3)],
        [(128, 1, 1), (128, 3, 1), (128, 3, 3)],
        [(128, 1, 1), (128, 1, 3), (128, 3, 3)],
        [(64, 1, 1), (96, 1, 3), (128, 3, 1), (128, 3, 3)],
    ]
    state |= _block('Norm', 512, 512, branches)
    state |= _rfb('extras.0', 1024, 1024) | _rfb('extras.1', 1024, 512) | _rfb('extras.2', 512, 256)
    state |= _unit('extras.3', 128, 256) | _unit('extras.4', 256, 128, 3, 3)
    state |= _unit('extras.5', 128, 256) | _unit('extras.6', 256, 128, 3, 3)
    for level, (channels, anchors) in enumerate(LEVELS):
        state |= {f'loc.{level}.weight': _random(anchors * 4, channels, 3, 3)}
        state |= {f'loc.{level}.bias': _random(anchors * 4)}
        # The value of a class score is its class.
        scores = torch.arange(21.0).repeat(anchors)
        state |= {f'conf.{level}.weight': scores[:, None, None, None].expand(-1, channels, 3, 3).clone()}
        state |= {f'conf.{level}.bias': scores}
    state['base.0.weight'] = torch.arange(3.0)[None, :, None, None].repeat(64, 1, 3, 3)
    return state


def test_their_layout_has_the_published_size(theirs):
    parameters = {key: value for key, value in theirs.items() if 'running' not in key}
    assert sum(value.numel() for value in parameters.values()) == 36_531_296


def test_round_trip(tool, tmp_path, theirs):
    # DataParallel's prefix is in their published files.
    torch.save({f'module.{key}': value for key, value in theirs.items()}, tmp_path / 'src.pth')
    assert tool.main(['rfbnet300', str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')]) == 0
    ours = torch.load(tmp_path / 'dst.pth', weights_only=True)['state_dict']
    counters = {key for key in ours if key.endswith('num_batches_tracked')}
    assert len(ours) - len(counters) == len(theirs), 'a tensor got lost'
    landed = {}
    for key, value in ours.items():
        landed.setdefault((float(value.flatten()[0]), tuple(value.shape)), []).append(key)
    for key, value in theirs.items():
        if not key.startswith(('conf.', 'base.0.weight')):
            places = landed[float(value.flatten()[0]), tuple(value.shape)]
            assert len(places) == 1 and torch.equal(ours[places[0]], value), key
    assert torch.equal(ours['neck.rfb_a.branches.3.1.conv.weight'], theirs['Norm.branch3.1.conv.weight'])
    assert torch.equal(ours['neck.extras.2.fuse.bn.running_var'], theirs['extras.2.ConvLinear.bn.running_var'])
    assert torch.equal(ours['bbox_head.reg_convs.5.0.bias'], theirs['loc.5.bias'])


def test_background_goes_last_and_channels_are_swapped(tool, theirs):
    ours = tool.convert_rfbnet300(theirs)
    for level, (_, anchors) in enumerate(LEVELS):
        expected = torch.tensor([*range(1, 21), 0.0]).repeat(anchors)
        assert torch.equal(ours[f'bbox_head.cls_convs.{level}.0.bias'], expected)
        assert torch.equal(ours[f'bbox_head.cls_convs.{level}.0.weight'][:, 0, 0, 0], expected)
    assert ours['backbone.features.0.weight'][0, :, 0, 0].tolist() == [2, 1, 0], 'BGR to RGB'


@pytest.mark.parametrize(
    ('removed', 'added', 'message'),
    [
        ('base.0.weight', {}, 'no trunk'),
        ('loc.3.bias', {}, 'bbox_head.reg_convs.3.0.bias'),
        ('nothing', {'extras.7.conv.weight': torch.zeros(1)}, 'neck.extras.7.conv.weight'),
        ('nothing', {'conf.1.bias': torch.zeros(20)}, 'not an RFBNet300 with 20 classes'),
        ('nothing', {'conf.0.weight': torch.zeros(1, 1, 1, 1)}, 'not an RFBNet300'),
    ],
)
def test_other_layouts(tool, theirs, removed, added, message):
    state = {key: value for key, value in theirs.items() if key != removed}
    with pytest.raises(ValueError, match=message):
        tool.convert_rfbnet300({**state, **added})
