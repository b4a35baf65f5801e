"""``tools/export_purifier.py``, and what it writes in front of another model (paper, section 4.9)."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_in_front_of_another_model(run_tool, config, child, tmp_path):
    """Trained in front of one model, exported, and tested in front of a DenseNet and its undefended checkpoint."""
    from mmadvdefense.models import build_model

    trained = run_tool('train', config, '--work-dir', tmp_path / 'work', '--cfg-options', 'train_cfg.max_epochs=1')
    assert trained.code == 0, trained.err[-3000:]
    checkpoint, out = tmp_path / 'work' / 'epoch_1.pth', tmp_path / 'new' / 'purifier.pth'
    done = run_tool('export_purifier', config, checkpoint, out)
    assert done.code == 0, done.err[-3000:]
    assert re.search(r'GlobalGenerator with [\d,]+ parameters written to .*purifier\.pth', done.out)
    assert _files(out.parent) == {'purifier.pth'}
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    start = 'data_preprocessor.generator.'
    generator = {name[len(start) :]: value for name, value in state.items() if name.startswith(start)}
    exported = torch.load(out, weights_only=True)
    assert exported['num_updates'] == 2
    assert exported['state_dict'].keys() == generator.keys()
    assert all(torch.equal(exported['state_dict'][name], value) for name, value in generator.items())

    # One line on the config of another architecture, without a word on the generator or on training.
    other = tmp_path / 'other.py'
    other.write_text(f"""
_base_ = '{ROOT}/configs/target/digits_source.py'
data_preprocessor = dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint='{out}'))
test_dataloader = dict(num_workers=0, batch_size=4, dataset=dict(indices=4))
""")
    model = build_model(str(other))
    plain = {name: v for name, v in model.state_dict().items() if not name.startswith('data_preprocessor')}
    torch.save({'state_dict': plain}, tmp_path / 'undefended.pth')
    results = tmp_path / 'results.json'
    tested = run_tool('test', other, tmp_path / 'undefended.pth', '--attack', 'FGSM', '--eps', 8, '--out', results)
    assert tested.code == 0, tested.err[-3000:]
    rows = json.loads(results.read_text())['results']
    psnr = [row['measured']['purified/psnr'] for row in rows]
    assert psnr[0] is None and psnr[1] < 30 and psnr[2] != psnr[3], 'the exported generator is at work'

    # The purifier of a run can be exported with the host's config that the run has written down, too.
    again = run_tool('export_purifier', tmp_path / 'work' / 'defense.py', checkpoint, tmp_path / 'again.pth')
    assert again.code == 0, again.err[-3000:]

    # Another generator in front of it is refused, and so is what is no purifier, in one line and without a file.
    wider = child('wider', 'data_preprocessor = dict(generator=dict(base_channels=6))')
    plain_config = ROOT / 'configs' / 'target' / 'digits_target.py'
    untrained = {name: torch.zeros_like(v) if name.endswith('num_updates') else v for name, v in state.items()}
    torch.save({'state_dict': untrained}, tmp_path / 'untrained.pth')
    torch.save(plain, tmp_path / 'bare.pth')
    cases = {
        'trained with another generator than': [wider, checkpoint],
        'has no purifier': [plain_config, checkpoint],
        'holds no purifier that fits the config: data_preprocessor': [config, tmp_path / 'undefended.pth'],
        'bare.pth holds no purifier': [config, tmp_path / 'bare.pth'],
        'AlignPurifier is untrained': [config, tmp_path / 'untrained.pth'],
        'checkpoint not found: nowhere.pth': [config, 'nowhere.pth'],
        'purifier.pth holds no purifier': [config, out],
        'zoo://light_ssd_bccd holds no purifier': [config, 'zoo://light_ssd_bccd'],
    }
    for message, arguments in cases.items():
        done = run_tool('export_purifier', *arguments, tmp_path / 'bad' / 'purifier.pth')
        assert re.search(message, done.error), f'{message}: {done.error}'
        assert not (tmp_path / 'bad').exists()

    # So is another generator for the export, and a whole checkpoint in its place.
    for message, settings in {
        'was exported from another generator .* do not fit': f"generator=dict(type='DUNet'), checkpoint='{out}'",
        'epoch_1.pth is not a purifier export': f"checkpoint='{checkpoint}'",
        'purifier export not found: nowhere.pth': "checkpoint='nowhere.pth'",
    }.items():
        generator, _, path = settings.rpartition('checkpoint=')
        line = f"type='AlignPurifier', {generator} init_cfg=dict(type='Pretrained', checkpoint={path})"
        (tmp_path / 'bad.py').write_text(f"_base_ = './other.py'\ndata_preprocessor = dict({line})\n")
        done = run_tool('test', tmp_path / 'bad.py', tmp_path / 'undefended.pth')
        assert re.search(message, done.error), f'{message}: {done.error}'


def test_files_for_other_software(run_tool, config, trained, target_checkpoint, tmp_path):
    """What runs the files afterwards is compared with the purifier, and with the model behind it."""
    done = run_tool('export_purifier', config, trained, 'alone.pt', '--format', 'torchscript')
    assert done.code == 0, done.err[-3000:]
    assert re.search(r'GlobalGenerator with [\d,]+ parameters written to alone.pt\nlargest difference', done.out)
    images = torch.arange(3.0 * 20 * 24).view(1, 3, 20, 24) % 256
    purified = torch.jit.load(str(tmp_path / 'alone.pt'))(images)
    assert purified.shape == images.shape and 0 <= purified.min() <= purified.max() <= 255

    # The purifier of a file in front of the bare model.
    assert run_tool('export_purifier', config, trained, 'purifier.pth').code == 0
    bare = ROOT / 'configs' / 'target' / 'digits_target.py'
    both = ('--purifier', 'purifier.pth', '--format', 'torchscript', '--with-model')
    done = run_tool('export_purifier', bare, target_checkpoint, 'both.pt', *both)
    assert done.code == 0, done.err[-3000:]
    assert re.search(r'and the model behind it written to both.pt\n6 of 6 decisions the same', done.out)
    # With the weights of the protected model, it is the same.
    done = run_tool('export_purifier', config, trained, 'same.pt', '--format', 'torchscript', '--with-model')
    assert done.code == 0, done.err[-3000:]
    scores = [torch.jit.load(str(tmp_path / name))(images) for name in ('both.pt', 'same.pt')]
    torch.testing.assert_close(*scores)

    done = run_tool('export_purifier', config, trained, 'a.pth', '--size', 32, 32)
    assert re.search('--with-model, --size and --batch-size are for --format onnx, torchscript, pt2', done.error)


def test_reduced_precision(run_tool, config, trained, tmp_path):
    """In float16 in half the space; what cannot be reduced is refused before any work."""
    alone = ('--format', 'torchscript', '--size', 20, 20)
    assert run_tool('export_purifier', config, trained, 'full.pt', *alone, '--no-check').code == 0
    done = run_tool('export_purifier', config, trained, 'half.pt', *alone, '--precision', 'fp16')
    assert done.code == 0, done.err[-3000:]
    assert re.search(r'written to half.pt\nfp16: largest difference [\d.e-]+, mean [\d.e-]+ pixels \(0-255\)', done.out)
    images = torch.arange(3.0 * 20 * 20).view(1, 3, 20, 20) % 256
    full, half = (torch.jit.load(str(tmp_path / name)) for name in ('full.pt', 'half.pt'))
    assert 0 < (full(images) - half(images)).abs().mean() < 0.25
    sizes = [sum(value.numel() * value.element_size() for value in file.parameters()) for file in (full, half)]
    assert sizes[0] == 2 * sizes[1]
    for message, arguments in {
        'fp16 is for --format onnx, torchscript, pt2': ('--precision', 'fp16'),
        'for --format onnx; torchscript can be fp16': ('--format', 'torchscript', '--precision', 'int8'),
    }.items():
        done = run_tool('export_purifier', config, trained, 'a.pt', *arguments)
        assert re.search(message, done.error), done.error
    assert not (tmp_path / 'a.pt').exists()


@pytest.mark.skipif(not all(map(find_spec, ('onnx', 'onnxscript', 'onnxruntime'))), reason="pip install -e '.[deploy]'")
def test_int8_takes_its_ranges_from_the_data(run_tool, config, child, trained):
    flags = ('--format', 'onnx', '--precision', 'int8', '--size', 20, 20)
    done = run_tool('export_purifier', config, trained, 'a.onnx', *flags, '--split', 'test')
    assert done.code == 0, done.err[-3000:]
    assert re.search(r'written to a.onnx\nint8: largest difference [\d.e-]+, mean [\d.e-]+ pixels \(0-255\)', done.out)
    bare = child('bare', 'test_dataloader = None\ntest_cfg = None\ntest_evaluator = None')
    done = run_tool('export_purifier', bare, trained, 'b.onnx', *flags, '--split', 'test')
    assert re.search('no test_dataloader, and --split test needs it', done.error)
