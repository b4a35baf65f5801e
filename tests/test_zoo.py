"""The purifiers of ``zoo/`` are what their receipts say, and stand in front of a model with one line."""

import hashlib
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.apis.quickstart import run as quickstart
from mmadvdefense.model_spec import ModelSpec
from mmadvdefense.networks import BottleneckGenerator, ClassCodeGenerator
from mmadvdefense.training.purifier_config import purifier_config
from mmadvdefense.training.recipes import complete_training

ROOT = Path(__file__).parents[1]
METAFILE = yaml.safe_load((ROOT / 'zoo' / 'metafile.yml').read_text())
ENTRIES, TARGETS = METAFILE['purifiers'], METAFILE['targets']
CLASSIFIERS_ATTACKS = ('gray_box_pgd', 'gray_box_ti_pgd', 'adaptive_pgd_20')
DENSE_ATTACKS = ('gray_box_bim', 'transfer', 'adaptive_bim')


def path_of(entry: dict) -> Path:
    return ROOT / 'zoo' / f'{entry["name"]}.pth'


def test_every_file_has_a_receipt():
    assert {path_of(entry) for entry in ENTRIES + TARGETS} == set((ROOT / 'zoo').glob('*.pth'))


def test_a_quickstart_compares_with_the_shortest_training():
    general = [entry['iterations'] for entry in ENTRIES if entry['name'].startswith('general')]
    assert min(general) == quickstart._ENOUGH


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda entry: entry['name'])
def test_receipt(entry):
    path = path_of(entry)
    assert path.stat().st_size < 4e6
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry['sha256']
    export = torch.load(path, weights_only=True)
    assert export['num_updates'] == entry['iterations']
    config = Config.fromfile(ROOT / entry['config'])
    complete_training(config)
    purifier = purifier_config(config)
    assert export['generator'] == purifier.generator.to_dict()
    if entry.get('type') == 'SmoothedPurifier':
        assert export['sigma'] == purifier.sigma
        assert {'certified_0', 'certified_0.25', 'images', 'n'} <= entry['results'].keys()
        return
    # The claim is the lowest number: that of the attacker who knows the purifier stands beside the others.
    attacks = CLASSIFIERS_ATTACKS if config.default_scope == 'mmpretrain' else DENSE_ATTACKS
    assert {'clean', *attacks} <= entry['results'].keys()


@pytest.mark.parametrize('entry', TARGETS, ids=lambda entry: entry['name'])
def test_receipt_of_a_target(entry):
    pytest.importorskip('mmdet')
    path = path_of(entry)
    assert path.stat().st_size < 4e6
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry['sha256']
    spec = ModelSpec(str(ROOT / entry['config']), f'zoo://{entry["name"]}')
    spec.check_files()
    model = spec.load()
    assert sum(parameter.numel() for parameter in model.parameters()) == entry['parameters']
    assert torch.load(path, weights_only=True)['meta']['iter'] == entry['iterations']
    stem = Path(entry['config']).stem
    assert [other for other in ENTRIES if Path(other['target']).stem == stem], 'a purifier for it'


def build(entry: dict):
    purifier = MODELS.build(
        dict(
            type=entry.get('type', 'AlignPurifier'),
            native_type='mmengine.ImgDataPreprocessor',
            init_cfg=dict(type='Pretrained', checkpoint=str(path_of(entry))),
        )
    ).eval()
    assert sum(parameter.numel() for parameter in purifier.generator.parameters()) == entry['parameters']
    return purifier


def named(entries: list) -> dict:
    return dict(argvalues=entries, ids=[entry['name'] for entry in entries])


SMOOTHED = [entry for entry in ENTRIES if entry.get('type') == 'SmoothedPurifier']


@pytest.mark.parametrize('entry', **named([entry for entry in ENTRIES if entry not in SMOOTHED]))
def test_cleans_what_is_not_an_image_and_leaves_flat_ones(entry):
    """Noise of full contrast is nothing that it has seen; a grey image has nothing to clean."""
    purifier = build(entry)
    grey = torch.full((1, 3, 32, 32), 128.0)
    noise = (torch.arange(3 * 32 * 32).reshape(1, 3, 32, 32) * 7919 % 256).float()
    with torch.no_grad():
        cleaned = purifier.clean(torch.cat([grey, noise]))
    assert cleaned.min() >= 0 and cleaned.max() <= 255
    if isinstance(purifier.generator, (BottleneckGenerator, ClassCodeGenerator)):
        return  # What it returns is for the target, and no picture.
    change = (cleaned - torch.cat([grey, noise])).abs().flatten(1).mean(1)
    assert change[0] < change[1] < 60


@pytest.mark.parametrize('entry', **named(SMOOTHED))
def test_takes_its_noise_away(entry):
    """It adds noise to a smooth image, and returns one that is nearer to it than a noisy one."""
    purifier = build(entry)
    row = torch.linspace(60, 200, 32)
    image = (row + row[:, None]).div(2).expand(1, 3, 32, 32).contiguous()
    noisy = (image + purifier.sigma * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).clamp(
        0, 255
    )
    with torch.no_grad():
        cleaned = purifier.clean(image)
    assert cleaned.min() >= 0 and cleaned.max() <= 255
    assert (cleaned - image).square().mean() < 0.9 * (noisy - image).square().mean()
