"""``zoo://NAME`` as a checkpoint."""

from __future__ import annotations

import shutil

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader

from mmadvdefense.compat import check_checkpoint
from mmadvdefense.digests import file_digest, plain_settings
from mmadvdefense.errors import UsageError
from mmadvdefense.purifiers.trained import generator
from mmadvdefense.purifiers.trained.export import load_purifier_export
from mmadvdefense.zoo import FOLDER, local_file, zoo_entries, zoo_entry, zoo_file, zoo_targets

NAME = 'align_resnet20_cifar10'


@pytest.mark.parametrize('name', list(zoo_entries()))
def test_every_purifier_is_found_and_checked(name):
    path = zoo_file(f'zoo://{name}')
    assert path == FOLDER / f'{name}.pth' == local_file(f'zoo://{name}')
    assert path.stat().st_size < 4e6


def test_loads_like_the_file():
    path = FOLDER / f'{NAME}.pth'
    expected = torch.load(path, weights_only=True)
    for found in (CheckpointLoader.load_checkpoint(f'zoo://{NAME}', 'cpu'), load_purifier_export(f'zoo://{NAME}')):
        assert found['num_updates'] == expected['num_updates'] == 612
        assert all(torch.equal(found['state_dict'][key], value) for key, value in expected['state_dict'].items())
    purifiers = [
        MODELS.build(
            dict(
                type='AlignPurifier',
                native_type='mmengine.ImgDataPreprocessor',
                init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
            )
        ).eval()
        for checkpoint in (f'zoo://{NAME}', str(path))
    ]
    images = torch.arange(3.0 * 16 * 16).view(1, 3, 16, 16) % 256
    with torch.no_grad():
        ours, theirs = (purifier.clean(images) for purifier in purifiers)
    assert torch.equal(ours, theirs) and not torch.equal(ours, images)
    # A grid that names it either way has the same cells.
    assert plain_settings(dict(checkpoint=f'zoo://{NAME}')) == plain_settings(dict(checkpoint=str(path)))
    assert file_digest(f'zoo://{NAME}') == zoo_entries()[NAME]['sha256']


def test_unknown_name_lists_near_ones():
    message = r"there is no 'align_resnet20_cifar' in the zoo; did you mean align_resnet20_cifar10, .* or .*\?$"
    for load in (load_purifier_export, CheckpointLoader.load_checkpoint, check_checkpoint, plain_settings):
        with pytest.raises(UsageError, match=message):
            load('zoo://align_resnet20_cifar')


@pytest.mark.parametrize('name', list(zoo_targets()))
def test_a_model_is_no_purifier(name):
    with pytest.raises(UsageError, match='is not a purifier export'):
        load_purifier_export(f'zoo://{name}')
    with pytest.raises(UsageError, match=f"there is no purifier '{name}' in the zoo"):
        zoo_entry(f'zoo://{name}')


def _in_front_of(native_type: str, name: str):
    settings = dict(type='Pretrained', checkpoint=f'zoo://{name}')
    return MODELS.build(dict(type='AlignPurifier', native_type=native_type, init_cfg=settings))


def test_a_model_for_another_task(monkeypatch):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmpretrain')
    logged = []
    monkeypatch.setattr(generator, 'print_log', lambda text, *_: logged.append(text))
    _in_front_of('mmpretrain.ClsDataPreprocessor', NAME)
    assert not logged
    _in_front_of('mmdet.DetDataPreprocessor', NAME)
    (line,) = logged
    assert f'zoo://{NAME} was trained in front of a model for classification, and this one is for detection' in line
    with pytest.raises(UsageError, match='ClassCodeGenerator of zoo://adaptive_resnet20_cifar10 .* for classifiers'):
        _in_front_of('mmdet.DetDataPreprocessor', 'adaptive_resnet20_cifar10')


def test_what_is_not_the_file_of_the_receipt(tmp_path):
    zoo = tmp_path / 'zoo'
    shutil.copytree(FOLDER, zoo)
    path = zoo / f'{NAME}.pth'
    assert zoo_file(f'zoo://{NAME}', zoo) == path
    path.write_bytes(path.read_bytes()[:-1] + b'x')
    with pytest.raises(UsageError, match=r'its SHA-256 is \w{12}\.\.\., not aae4b112fd7d\.\.\.; restore it with'):
        zoo_file(f'zoo://{NAME}', zoo)
    path.unlink()
    with pytest.raises(UsageError, match=rf'{NAME}\.pth is missing: restore it'):
        zoo_file(f'zoo://{NAME}', zoo)
    with pytest.raises(UsageError, match='this installation has no zoo, which should be in .*nowhere'):
        zoo_file(f'zoo://{NAME}', tmp_path / 'nowhere')
