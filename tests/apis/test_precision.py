"""Generators in float16 and int8: how far they are from float32, and what cannot be reduced."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from mmadvdefense.apis import deployment
from mmadvdefense.apis.deployment import HalfGenerator, PixelGenerator, export_module, load_exported
from mmadvdefense.apis.parity import Parity, check_reduced, compare_on, smooth_noise
from mmadvdefense.apis.precision import PRECISIONS, check_precision, export_int8, of_shapes
from mmadvdefense.errors import DependencyError, UsageError
from mmadvdefense.purifiers import AlignPurifier

SHAPES = [(1, 16, 16), (3, 13, 19)]
needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, ('onnx', 'onnxscript', 'onnxruntime'))), reason="pip install -e '.[deploy]'"
)


@pytest.fixture(scope='module')
def purifier() -> AlignPurifier:
    """Changes images visibly."""
    network = dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        purifier = AlignPurifier(generator=network, native_type='mmengine.ImgDataPreprocessor')
    purifier.num_updates += 1
    return purifier.eval()


def test_half_is_float16_inside():
    network = nn.Conv2d(3, 3, 1, bias=False)
    nn.init.dirac_(network.weight).data.mul_(1 / 3)
    images = torch.tensor([0.1, 0.5, -0.7]).view(1, 3, 1, 1)
    with torch.no_grad():
        halved = HalfGenerator(network)(images)
    # The nearest numbers with eleven significant bits: a third is 1365 / 4096, 0.1 is 1638 / 16384, 0.7 is 1434 / 2048.
    third, values = 1365 / 4096, (1638 / 16384, 0.5, -1434 / 2048)
    expected = torch.tensor([value * third for value in values], dtype=torch.float16).float()
    assert halved.dtype == network.weight.dtype == torch.float32
    torch.testing.assert_close(halved.flatten(), expected, rtol=0, atol=0)


@pytest.mark.parametrize('kind', [pytest.param('onnx', marks=needs_onnx), 'torchscript'])
def test_fp16_file(purifier, kind, tmp_path):
    module = PixelGenerator(purifier, half=True).eval()
    export_module(module, tmp_path / 'half', kind)
    parity = compare_on(PixelGenerator(purifier), load_exported(tmp_path / 'half', kind), smooth_noise(SHAPES), False)
    assert 0 < parity.mean <= PRECISIONS['fp16'] and parity.mean < parity.difference < 1
    check_reduced(parity, PRECISIONS['fp16'])
    assert str(parity).startswith('largest difference 0.') and ', mean 0.' in str(parity)
    assert {parameter.dtype for parameter in purifier.generator.parameters()} == {torch.float32}


class Halving(nn.Module):
    """Half of each pixel, by a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.dirac_(self.conv.weight).data.mul_(0.5)

    def forward(self, images):
        return self.conv(images)


@needs_onnx
def test_int8_rounds_to_256_levels(tmp_path):
    """Ranges are those of the given images, 0-255: one level is one pixel in and half a pixel out."""
    ends = [torch.full((3, 8, 8), 0.0), torch.full((3, 6, 10), 255.0)]
    export_int8(Halving().eval(), tmp_path / 'new' / 'a.onnx', ends)
    assert [file.name for file in (tmp_path / 'new').iterdir()] == ['a.onnx']
    images = torch.tensor([0.0, 1.0, 10.3, 100.6, 254.0, 255.0, 300.0]).expand(2, 3, 5, 7)
    expected = torch.tensor([0.0, 0.5, 5.0, 50.5, 127.0, 127.5, 127.5]).expand(2, 3, 5, 7)
    torch.testing.assert_close(load_exported(tmp_path / 'new' / 'a.onnx', 'onnx')(images), expected)


@needs_onnx
def test_int8_generator(purifier, tmp_path):
    import onnx

    module = PixelGenerator(purifier).eval()
    images = of_shapes([image for batch in smooth_noise([(8, 24, 24)]) for image in batch], [(8, 20, 28)])[0]
    export_int8(module, tmp_path / 'a.onnx', list(images), batch_size=2)
    graph = onnx.load(tmp_path / 'a.onnx').graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count('QuantizeLinear') >= kinds.count('Conv') == 4
    weights = [item for item in graph.initializer if len(item.dims) == 4]
    assert len(weights) == 4 and {item.data_type for item in weights} == {onnx.TensorProto.INT8}
    parity = compare_on(module, load_exported(tmp_path / 'a.onnx', 'onnx'), images.split(2), False)
    check_reduced(parity, PRECISIONS['int8'])
    assert 0 < parity.mean < parity.difference and parity.shapes[0] == (2, 20, 28)
    with pytest.raises(UsageError, match='int8 needs images'):
        export_int8(module, tmp_path / 'b.onnx', [])


def test_batches_of_shapes():
    images = [torch.full((3, 4, 4), 10.0), torch.full((3, 2, 6), 20.0)]
    first, second = of_shapes(images, [(1, 3, 5), (3, 2, 2)])
    assert first.shape == (1, 3, 3, 5) and second.shape == (3, 3, 2, 2)
    assert first.unique().tolist() == [10] and second.mean((1, 2, 3)).tolist() == [20, 10, 20]


def test_limits():
    shape = ((1, 8, 8),)
    check_reduced(Parity(shape, 30.0, 0, 0, 1.9), 2.0)
    with pytest.raises(UsageError, match=r'too low for this generator: .*, mean 2.1 pixels .* a mean of 2 is allowed'):
        check_reduced(Parity(shape, 30.0, 0, 0, 2.1), 2.0)
    with pytest.raises(UsageError, match='too low'):
        check_reduced(Parity(shape, float('nan'), 0, 0, float('nan')), 2.0)
    check_reduced(Parity(shape, 30.0, 20, 2, 9.0), 2.0)
    with pytest.raises(UsageError, match='17 of 20 decisions the same.*at most 10% of decisions changed is allowed'):
        check_reduced(Parity(shape, 30.0, 20, 3, 9.0), 2.0)


def test_what_cannot_be_reduced(monkeypatch):
    check_precision('fp32', 'pth')
    check_precision('fp16', 'pt2', with_model=True)
    for arguments, message in {
        ('int4', 'onnx'): "unknown precision 'int4'; known: fp32, fp16, int8",
        ('fp16', 'pth'): 'a file for this package is float32: fp16 is for --format onnx, torchscript, pt2',
        ('int8', 'torchscript'): 'for --format onnx; torchscript can be fp16',
        ('int8', 'onnx', True): 'int8 is for the generator alone: leave out --with-model',
    }.items():
        with pytest.raises(UsageError, match=message):
            check_precision(*arguments)
    monkeypatch.setattr(deployment, 'find_spec', lambda name: None if name == 'onnxruntime' else name)
    with pytest.raises(DependencyError, match=r"ONNX needs onnxruntime, found none: pip install -e '.\[deploy\]'"):
        check_precision('int8', 'onnx')
