"""Scales, fields and missing files of a grid's config."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmadvdefense.evaluation.grid.protocol import (
    at_scale,
    filled,
    missing_files,
    without_instructions,
    without_missing,
)
from mmadvdefense.evaluation.report.published import check_published


@pytest.fixture
def config(tmp_path) -> Config:
    (tmp_path / 'big.pth').touch()
    here = str(tmp_path)
    return Config(
        dict(
            fields=dict(target='big', data='cifar10', title='CIFAR-10'),
            data_files={f'{here}/images': 'unpack them there'},
            scales=dict(small=dict(fields=dict(target='little'), num_images=3)),
            target=dict(config='{target}.py', checkpoint=here + '/{target}.pth'),
            threat_models=[dict(name='transfer', source=dict(config='b.py', checkpoint=here + '/b.pth'))],
            columns={'clean': 'clean', 'PGD': 'TI-PGD'},
            defenses={
                'none': dict(),
                'ours': dict(config='o.py', checkpoint=here + '/ours_{target}.pth', obtain='train  {target} longer'),
                'theirs': dict(data_preprocessor=dict(init_cfg=dict(checkpoint='https://there/export.pth'))),
                'also chain': dict(data_preprocessor=dict(type='Quilting', patches=here + '/patches.pth')),
                'chain': dict(data_preprocessor=dict(purifiers=[dict(patches=here + '/patches.pth')])),
                'unused': dict(config='u.py', checkpoint='u.pth'),
            },
            published=dict(
                title='Table I, {title}',
                columns=['PGD'],
                rows={
                    'ours': dict(cifar10=[1.0], cifar100=[2.0]),
                    'none': dict(cifar10=[3.0]),
                    'elsewhere': dict(cifar100=[4.0]),
                    'chain': [5.0],
                    'also chain': [5.0],
                    'theirs': dict(cifar10=[6.0]),
                },
            ),
        )
    )


def test_fields(config, tmp_path):
    grid = filled(config)
    assert grid.target.checkpoint == f'{tmp_path}/big.pth' and grid.defenses.ours.obtain == 'train big longer'
    assert list(grid.defenses) == ['ours', 'none', 'chain', 'also chain', 'theirs'], (
        'the rows of the table, as it has them'
    )
    assert grid.published.to_dict() == dict(
        title='Table I, CIFAR-10',
        columns={'PGD': 'TI-PGD'},
        rows={'ours': [1.0], 'none': [3.0], 'chain': [5.0], 'also chain': [5.0], 'theirs': [6.0]},
    )
    plain = without_instructions(grid)
    assert 'obtain' not in plain.defenses.ours and plain.defenses.ours.config == 'o.py'
    ordinary = Config(dict(target=dict(config='{a}.py', checkpoint='b.pth')))
    assert filled(ordinary) is ordinary and without_instructions(ordinary) is ordinary
    config.target.config = '{targt}.py'
    with pytest.raises(ValueError, match="has 'targt' in braces, which is not in fields; did you mean 'target'"):
        filled(config)


def test_scales(config, tmp_path):
    assert at_scale(config, None) is config
    small = at_scale(config, 'small')
    assert filled(small).target.checkpoint == f'{tmp_path}/little.pth'
    assert (small.num_images, small.scale, small.fields.data) == (3, 'small', 'cifar10') and 'scales' not in small
    with pytest.raises(ValueError, match="cannot be run at the scale 'smal'; did you mean small"):
        at_scale(config, 'smal')
    with pytest.raises(ValueError, match='its config has no scales'):
        at_scale(Config(dict()), 'small')


def test_missing_files(config, tmp_path):
    grid = filled(config)
    missing = missing_files(grid)
    assert [str(file) for file in missing] == [
        f'{tmp_path}/images (the data): unpack them there',
        f"{tmp_path}/b.pth (a source of 'transfer'): python tools/train.py b.py --out {tmp_path}/b.pth",
        f"{tmp_path}/ours_big.pth (defense 'ours'): train big longer",
        f"{tmp_path}/patches.pth (defense 'chain'): not found",
        f"{tmp_path}/patches.pth (defense 'also chain'): not found",
    ]
    assert without_missing(grid, missing) is None, 'no data'
    assert without_missing(grid, missing[1:]) is None, 'nobody is left to attack'
    assert list(without_missing(grid, missing[2:]).defenses) == ['none', 'theirs']


def test_attackers_that_are_missing(config, tmp_path):
    """Their own attacks go with them, and the columns of these stay empty."""
    transfer = config.threat_models[0]
    config.attacks = dict(SSP=dict(type='SSP'), MI=dict(type='MIFGSM'), **{'TI-PGD': dict(type='PGD')})
    config.threat_models = [dict(transfer, attacks=['SSP', 'MI']), dict(name='gray-box', attacks=['TI-PGD', 'MI'])]
    columns = {'clean': 'clean', 'SSP': 'SSP', 'MI': ['gray-box', 'MI'], 'PGD': 'TI-PGD'}
    config.published = dict(title='t', columns=columns, rows={'none': [0.0, 1.0, 2.0, 3.0]})
    (file,) = [file for file in missing_files(filled(config)) if file.threat is not None]
    assert (file.threat, file.defense) == (0, None)
    grid = without_missing(filled(config), [file])
    assert [entry.name for entry in grid.threat_models] == ['gray-box'] and list(grid.attacks) == ['MI', 'TI-PGD']
    assert grid.published.columns.to_dict() == {**columns, 'SSP': None}
    check_published(grid.published, grid.attacks)
    # A threat model that names no attacks runs them all.
    config.threat_models[1] = 'gray-box'
    assert list(without_missing(filled(config), [file]).attacks) == ['SSP', 'MI', 'TI-PGD']
