"""Where configs stand, what they are called, and that attacks and schedules can be built."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmadvdefense.attacks import build_attack
from mmadvdefense.training import model_recipes, recipes

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
LEARNED = ('ape_gan', 'nrp', 'fpd', 'super_resolution', 'defense_gan', 'pixel_defend')
METHODS = ('align', 'hgd', 'oag', 'feature_denoising', 'transforms', *LEARNED)
FILES = sorted(CONFIGS.rglob('*.py'))
ATTACKS = sorted([*(CONFIGS / 'attacks').glob('*.py'), *(CONFIGS / '_base_' / 'attacks').glob('*.py')])
SCHEDULES = sorted((CONFIGS / '_base_' / 'schedules').glob('align_*.py'))
THIN = sorted((CONFIGS / 'defense').glob('*.py'))


@cache
def bases(path: Path) -> tuple[Path, ...]:
    """The files of this repository that a config inherits; those of its hosts are not among them."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_':
            names = ast.literal_eval(node.value)
            names = [names] if isinstance(names, str) else names
            return tuple((path.parent / name).resolve() for name in names if '::' not in name)
    return ()


def short(path: Path) -> str:
    return path.relative_to(CONFIGS).with_suffix('').as_posix()


def test_bases_are_what_is_inherited_and_nothing_else():
    inherited = {base for path in FILES for base in bases(path)}
    assert inherited <= set(FILES)
    # What the one line leaves out is inherited when the tools complete it.
    methods = ('align', 'hgd', 'smoothed', *LEARNED)
    defaults = {CONFIGS / recipe.format(method) for recipe in recipes.DEFAULT_RECIPES.values() for method in methods}
    # Detectors are not certified, and models of small images are for classifiers alone.
    small = [f'{method}_default_{task}' for method in ('defense_gan', 'pixel_defend') for task in ('seg', 'det')]
    defaults -= {CONFIGS / '_base_' / 'defenses' / f'{name}.py' for name in ('smoothed_default_det', *small)}
    defaults |= {model_recipes.FOLDER / f'{name}.py' for name in model_recipes.recipe_names()}
    in_bases = {path for path in FILES if path.is_relative_to(CONFIGS / '_base_')}
    assert in_bases == {path for path in inherited | defaults if path.is_relative_to(CONFIGS / '_base_')}
    # Anything else that is inherited can be run as it is.
    fragments = ('attacks', 'robustness')
    assert not [short(path) for path in inherited - in_bases if path.parent.name in fragments]


def test_a_base_inherits_bases_alone():
    for path in FILES:
        if path.is_relative_to(CONFIGS / '_base_'):
            assert all(base.is_relative_to(CONFIGS / '_base_') for base in bases(path)), short(path)


def test_short_names_say_where_the_config_is_and_no_more(read):
    assert {'ssd_voc_align', 'resnet20_cifar10_align'} <= {path.stem for path in THIN}
    for path in THIN:
        statements = ast.parse(path.read_text()).body
        (base,) = bases(path)
        assert len(statements) == 1 and base.parent.name == 'align'
        assert Config.fromfile(path).load_from == read(short(base)).load_from


def test_configs_that_the_documentation_names_are_there():
    """Names with a pattern in them are left out."""
    pages = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').glob('*.md'), *CONFIGS.rglob('README.md')]
    named = {name for page in pages for name in re.findall(r'(?<![\w/])configs/[\w./-]+\.py\b', page.read_text())}
    assert 'configs/defense/ssd_voc_align.py' in named
    assert not [name for name in sorted(named) if not (ROOT / name).is_file()]


def test_the_index_has_all_methods():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert set(index) == {f'configs/{method}/metafile.yml' for method in METHODS}


@pytest.mark.parametrize('method', METHODS)
def test_a_method_has_a_page_and_a_record(method):
    folder = CONFIGS / method
    page, record = (folder / 'README.md').read_text(), yaml.safe_load((folder / 'metafile.yml').read_text())
    names = {path.stem for path in folder.glob('*.py')}
    assert {model['Name'] for model in record['Models']} == names
    (collection,) = record['Collections']
    assert collection['Paper']['URL'].startswith('https://') and collection['README'] == f'configs/{method}/README.md'
    for model in record['Models']:
        assert model['In Collection'] == collection['Name']
        assert (ROOT / model['Config']).stem == model['Name'] and (ROOT / model['Config']).is_file()
    assert not [name for name in names if name not in page], 'not on its page'


@pytest.mark.parametrize('path', ATTACKS, ids=short)
def test_attacks_build(path):
    config = Config.fromfile(path)
    for settings in config.attacks.values() if 'attacks' in config else [config.attack]:
        attack = build_attack(settings)
        # Attacks that look for the smallest change have no budget, nor has noise; a patch changes its pixels at will.
        unbounded = attack.norm == 'area' or (attack.eps is None and attack.norm == 'l2')
        assert unbounded or 0 < attack.eps < 32, 'pixels, 0-255'


@pytest.mark.parametrize('name', ['fgsm_det_cls_test', 'fgsm_det_loc_test', 'fgsm_det_cls_loc_test', 'bim_seg_test'])
def test_evaluation_attacks(name):
    config = Config.fromfile(CONFIGS / 'attacks' / f'{name}.py').attack
    assert build_attack(config).eps == (8 if 'det' in name else 0.03 * 255)


@pytest.mark.parametrize('path', SCHEDULES, ids=lambda path: path.stem)
def test_schedules_decay_over_the_second_half(path):
    config = Config.fromfile(path)
    scheduler = config.param_scheduler
    scheduler = scheduler if isinstance(scheduler, dict) else scheduler[-1]
    length = config.train_cfg.get('max_epochs') or config.train_cfg.max_iters
    assert scheduler.type == 'LinearLR' and scheduler.end_factor == 0
    assert (scheduler.begin, scheduler.end) == (length // 2, length)
