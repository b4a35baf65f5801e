"""Exported purifiers compute what the purifier in this package does, for images of every size."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from mmadvdefense.apis import deployment, protect
from mmadvdefense.apis.deployment import PixelGenerator, ProtectedScores, export_module, load_exported
from mmadvdefense.apis.parity import Parity, check_outputs, compare_outputs
from mmadvdefense.errors import DependencyError, StateError, UsageError
from mmadvdefense.purifiers import AlignPurifier, MedianFilterPurifier, SmoothedPurifier

NATIVE = dict(native_type='mmengine.ImgDataPreprocessor')
NETWORKS = {
    'unet': dict(
        generator=dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)
    ),
    'resnet': dict(generator=dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1)),
    'resized': dict(
        generator=dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1), working_size=(24, 18)
    ),
}
needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, ('onnx', 'onnxscript', 'onnxruntime'))), reason="pip install -e '.[deploy]'"
)
KINDS = [pytest.param('onnx', marks=needs_onnx), 'torchscript']
# torch.export takes seconds for each.
CASES = [
    *((name, 'torchscript') for name in NETWORKS),
    *(pytest.param(name, 'onnx', marks=needs_onnx) for name in NETWORKS),
    ('resnet', 'pt2'),
]


def _trained(**settings) -> AlignPurifier:
    purifier = AlignPurifier(**settings, **NATIVE)
    purifier.num_updates += 1
    return purifier.eval()


@pytest.mark.parametrize('name', NETWORKS)
def test_module_is_what_the_purifier_does(name, make_images):
    purifier = _trained(**NETWORKS[name])
    module = PixelGenerator(purifier).eval()
    for size in ((20, 28), (13, 31), (24, 18)):
        images = make_images(2, 3, *size)
        with torch.no_grad():
            expected = purifier.clean(images)
            torch.testing.assert_close(module(images), expected, rtol=0, atol=1e-4)
        assert (expected - images).abs().max() > 1


@pytest.mark.parametrize('name, kind', CASES)
def test_parity_at_every_size(name, kind, tmp_path):
    module = PixelGenerator(_trained(**NETWORKS[name])).eval()
    path = tmp_path / 'new' / 'purifier'
    export_module(module, path, kind)
    assert [file.name for file in path.parent.iterdir()] == ['purifier']
    parity = compare_outputs(module, load_exported(path, kind), [(1, 32, 32), (3, 21, 35), (2, 40, 24)], decides=False)
    check_outputs(parity)
    assert parity.difference < 0.05 and parity.decisions == 0
    assert str(parity).endswith('pixels (0-255) at 1x32x32, 3x21x35, 2x40x24')


@pytest.mark.parametrize('kind', KINDS)
def test_with_the_model(tiny_classifier, export_file, image_batch, kind, tmp_path):
    model = protect(tiny_classifier.eval(), export_file)
    module = ProtectedScores(model).eval()
    predicted = model.test_step(dict(inputs=image_batch.images, data_samples=image_batch.samples))
    with torch.no_grad():
        scores = module(image_batch.images)
    expected = torch.stack([sample.pred_score for sample in predicted])
    torch.testing.assert_close(scores.softmax(1), expected, rtol=0, atol=1e-5)
    export_module(module, tmp_path / 'both', kind)
    parity = compare_outputs(module, load_exported(tmp_path / 'both', kind), [(1, 12, 10), (5, 17, 20)], decides=True)
    check_outputs(parity)
    assert parity.decisions == 6 and parity.changed == 0 and str(parity).startswith('6 of 6 decisions the same')


def test_what_cannot_be_exported(tiny_classifier, export_file, monkeypatch, tmp_path):
    unet = NETWORKS['unet']
    with pytest.raises(StateError, match='untrained'):
        PixelGenerator(AlignPurifier(**unet, **NATIVE))
    with pytest.raises(UsageError, match='MedianFilterPurifier has no generator to export'):
        PixelGenerator(MedianFilterPurifier(**NATIVE))
    with pytest.raises(UsageError, match='SmoothedPurifier draws anew for each image'):
        PixelGenerator(SmoothedPurifier(sigma=10, **unet, **NATIVE))
    with pytest.raises(UsageError, match='tile_size or jpeg_quality is more than a network'):
        PixelGenerator(_trained(**unet, tile_size=(8, 8)))
    with pytest.raises(UsageError, match="unknown format 'onx'; known: onnx, torchscript, pt2"):
        export_module(nn.Identity(), tmp_path / 'a', 'onx')
    monkeypatch.setattr(deployment, 'find_spec', lambda name: None)
    with pytest.raises(
        DependencyError, match=r"ONNX needs onnx and onnxscript, found none: pip install -e '.\[deploy\]'"
    ):
        export_module(nn.Identity(), tmp_path / 'a', 'onnx')
    assert not list(tmp_path.glob('a*'))


def test_differences_are_refused():
    shift = compare_outputs(nn.Identity(), lambda images: images + 1.5, [(1, 8, 8)], decides=False)
    assert shift.difference == pytest.approx(1.5, abs=1e-4)
    with pytest.raises(UsageError, match='does not compute what the module does: largest difference 1.5 pixels'):
        check_outputs(shift)
    swapped = compare_outputs(nn.Identity(), lambda images: images.flip(1), [(2, 8, 8)], decides=True)
    assert swapped.decisions == 2 * 8 * 8 and 0 < swapped.changed <= 128
    with pytest.raises(UsageError, match='of 128 decisions the same'):
        check_outputs(swapped)
    check_outputs(Parity(((1, 8, 8),), 5.0, 10, 0))
    with pytest.raises(UsageError, match=r'returns \(1, 3, 4, 8\) for images \(1, 3, 8, 8\).*give that as --size H W'):
        compare_outputs(nn.Identity(), lambda images: images[:, :, :4], [(1, 8, 8)], decides=False)
