"""The purifiers of ``zoo/`` are what their receipts say, and stand in front of a model with one line."""

import hashlib
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmadvdefense  # noqa: F401  registers everything

ROOT = Path(__file__).parents[1]
ENTRIES = yaml.safe_load((ROOT / 'zoo' / 'metafile.yml').read_text())['purifiers']


def path_of(entry: dict) -> Path:
    return ROOT / 'zoo' / f'{entry["name"]}.pth'


def test_every_file_has_a_receipt():
    assert {path_of(entry) for entry in ENTRIES} == set((ROOT / 'zoo').glob('*.pth'))


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda entry: entry['name'])
def test_receipt(entry):
    path = path_of(entry)
    assert path.stat().st_size < 3e6
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry['sha256']
    export = torch.load(path, weights_only=True)
    assert export['num_updates'] == entry['iterations']
    config = Config.fromfile(ROOT / entry['config'])
    assert export['generator'] == config.data_preprocessor.generator.to_dict()
    # The claim is the lowest number: that of the attacker who knows the purifier stands beside the others.
    assert {'clean', 'gray_box_pgd', 'gray_box_ti_pgd', 'adaptive_pgd_20'} <= entry['results'].keys()


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda entry: entry['name'])
def test_cleans_what_is_not_an_image_and_leaves_flat_ones(entry):
    """Noise of full contrast is nothing that it has seen; a grey image has nothing to clean."""
    pytest.importorskip('mmpretrain')
    init_cfg = dict(type='Pretrained', checkpoint=str(path_of(entry)))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        purifier = MODELS.build(dict(type='AlignPurifier', to_rgb=True, init_cfg=init_cfg)).eval()
    assert sum(parameter.numel() for parameter in purifier.generator.parameters()) == entry['parameters']
    grey = torch.full((1, 3, 32, 32), 128.0)
    noise = (torch.arange(3 * 32 * 32).reshape(1, 3, 32, 32) * 7919 % 256).float()
    with torch.no_grad():
        cleaned = purifier.clean(torch.cat([grey, noise]))
    assert cleaned.min() >= 0 and cleaned.max() <= 255
    change = (cleaned - torch.cat([grey, noise])).abs().flatten(1).mean(1)
    assert change[0] < change[1] < 60
