"""The published tables as grids: all are there, with the numbers of the papers and a command for every defense."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from mmengine.config import Config

from mmadvdefense.evaluation.grid.protocol import at_scale, filled, missing_files
from mmadvdefense.evaluation.report.published import check_published
from mmadvdefense.training.ablations import ABLATIONS
from mmadvdefense.training.model_recipes import recipe_names
from mmadvdefense.training.purifier_config import purifier_config
from mmadvdefense.training.recipes import CONFIGS, default_recipe

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / 'configs' / 'paper').glob('*.py'))
CLASSIFICATION, DENSE = ('cifar10', 'cifar100', 'tinyimagenet'), ('cityscapes', 'voc2012', 'voc')
TABLES = {
    **{f'table{n}': CLASSIFICATION for n in (1, 3, 5, 14, 15)},
    **{f'table{n}': DENSE for n in (2, 4)},
    **{f'table{n}': CLASSIFICATION + DENSE for n in (7, 8, 9, 10, 11)},
    'table12': CLASSIFICATION[:2],
    'table13': DENSE[:2],
    **{f'iclr_table{n}': CLASSIFICATION for n in (1, 3, 6, 8, 10, 13)},
    **{f'iclr_table{n}': DENSE for n in (2, 4, 7, 9, 11, 14)},
    **{f'iclr_table{n}': CLASSIFICATION + DENSE for n in (5, 12)},
    'iclr_table15': CLASSIFICATION[:2],
    'iclr_table16': DENSE[:2],
}
SMALL = ('cifar10', 'cityscapes', 'voc')


def test_every_table_is_there():
    assert {path.stem for path in FILES} == {f'{table}_{data}' for table, own in TABLES.items() for data in own}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_table(path, monkeypatch):
    """It can be read, at its scales too, and what is missing can be made by commands whose parts are there."""
    monkeypatch.chdir(ROOT)
    config = Config.fromfile(path)
    data = path.stem.rpartition('_')[2]
    assert ('scales' in config) == (data in SMALL)
    for scale in (None, 'small') if data in SMALL else (None,):
        grid = filled(at_scale(config, scale))
        check_published(grid.published, grid.attacks)
        assert set(grid.published.rows) == set(grid.defenses), 'a row without a defense, or the other way round'
        assert any(number for numbers in grid.published.rows.values() for number in numbers)
        assert grid.published.title.startswith('Align')
        for spec in [grid.target, *grid.defenses.values()]:
            assert 'config' not in spec or (ROOT / spec.config).is_file(), spec
        for file in missing_files(grid):
            check_command(file.obtain)


def check_command(command: str) -> None:
    """The files, recipes and ablations that a command names exist."""
    assert command and '{' not in command
    words = shlex.split(command) if command.startswith('python') else []
    for word in words:
        if re.fullmatch(r'(configs|tools)/.*\.py', word):
            assert (ROOT / word).is_file(), command
    for flag, known in (('--recipe', recipe_names()), ('--ablation', ABLATIONS)):
        if flag in words:
            rest = words[words.index(flag) + 1 :]
            named = rest[: next((i for i, word in enumerate(rest) if word.startswith('--')), len(rest))]
            named = named[: named.index('then')] if 'then' in named else named
            assert named and set(named) <= set(known), command


@pytest.mark.parametrize('name', ['table1_cifar10', 'table2_voc', 'table12_cifar10'])
def test_commands_are_for_the_purifier_of_their_row(name, monkeypatch):
    """What trains it, by a recipe that is there, and what exports it, wherever the config keeps its preprocessor."""
    monkeypatch.chdir(ROOT)
    grid = filled(at_scale(Config.fromfile(ROOT / 'configs' / 'paper' / f'{name}.py'), 'small'))
    rows = {row: spec for row, spec in grid.defenses.items() if 'data_preprocessor' in spec}
    assert len(rows) >= 7
    if name == 'table2_voc':
        assert rows.pop('Defense').obtain.startswith('cannot be made')
    for spec in rows.values():
        for command in spec.obtain.split(' then '):
            words = shlex.split(command)
            config = Config.fromfile(words[2])
            config.merge_from_dict(dict(word.split('=', 1) for word in words if '=' in word))
            assert (purifier_config(config) or {}).get('type') == spec.data_preprocessor.type, command
            assert (CONFIGS / default_recipe(config)).is_file(), command


@pytest.mark.parametrize(
    ('name', 'row', 'numbers'),
    [
        ('table1_cifar100', 'TRADES (finetune)', [78.1, 53.9, 55.8, 44.2]),
        ('table2_voc', 'MTD', [49.1, 42.0, 44.3, 44.1]),
        ('table2_cityscapes', 'DDC-AT (finetune)', [68.3, 43.3, 49.4, 43.1]),
        ('table4_voc2012', 'Ours', [69.1, 65.2, 66.9, 70.7]),
        ('table5_tinyimagenet', 'NRP', [35.5, 39.1, 37.2, 40.6, 36.7, 30.5, 32.4, 37.6, 33.4, 34.8, 31.3, 35.1]),
        ('table7_cityscapes', 'Ours', [30.02, 27.45, 28.93, 29.66]),
        ('table8_voc', 'L_T+F (w/o c)', [60.0, 59.6, 55.0, 58.2]),
        ('table9_cifar10', 'Ours w/o L_GANg', [87.0, 73.4, 81.6, 82.0]),
        ('table10_voc2012', 'deleting 5-th layer', [70.1, 61.3, 63.1, 64.9]),
        ('table11_cityscapes', 'lambda 1 to 4 x 0.1', [63.5, 56.3, 58.4, 60.4]),
        ('table12_cifar100', 'L_I', [29.6, 63.4, 64.2]),
        ('table13_cityscapes', 'NRP', [53.4, 47.8, 63.0]),
        ('table15_tinyimagenet', 'ATDA+Ours', [58.7, 44.5, 59.5, 60.5]),
        ('iclr_table1_tinyimagenet', 'L_F (w/o c)', [62.7, 31.1, 57.7, 61.5]),
        ('iclr_table3_cifar10', 'Quilting + TVM', [89.2, 83.7, 84.2, 83.7]),
        ('iclr_table9_cityscapes', 'No Defense', [None, 3.1, 32.4, 8.0]),
        ('iclr_table16_voc2012', 'Ours', [71.3, 60.5, 64.6, 68.9]),
    ],
)
def test_numbers_of_the_papers(name, row, numbers):
    """Read off the papers; None is what cannot be read in the text of the ICLR version."""
    assert filled(Config.fromfile(ROOT / 'configs' / 'paper' / f'{name}.py')).published.rows[row] == numbers


def test_attackers_of_the_tables():
    def of(name):
        grid = filled(Config.fromfile(ROOT / 'configs' / 'paper' / f'{name}.py'))
        return grid, [entry if isinstance(entry, str) else entry.name for entry in grid.threat_models]

    grid, threats = of('table1_cifar10')
    assert threats == ['transfer'] and grid.threat_models[0].source.config == 'configs/target/resnet50_cifar10.py'
    assert grid.published.columns == {'clean': 'clean', 'PGD': 'TI-PGD', 'DeepFool': 'DeepFool-fill', 'C&W': 'CW'}
    assert of('iclr_table1_cifar10')[1] == ['gray-box'] and of('iclr_table13_cifar10')[1] == ['transfer']
    grid, _ = of('table12_cifar10')
    assert grid.target.config == 'configs/target/resnet50_cifar10.py'
    assert 'wideresnet_cifar10' in grid.defenses.Ours.data_preprocessor.init_cfg.checkpoint
    assert of('table5_cifar10')[1] == ['transfer', 'transfer', 'query']
    assert all(attack.type == 'EachTarget' for attack in of('table14_cifar10')[0].attacks.values())
