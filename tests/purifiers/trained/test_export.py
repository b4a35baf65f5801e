"""A trained generator as a file of its own, and checkpoints that belong to another generator."""

from __future__ import annotations

import errno

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import load_state_dict

from mmadvdefense import checkpoints
from mmadvdefense.purifiers import AlignPurifier
from mmadvdefense.purifiers.trained.export import load_purifier_export, save_purifier_export

pytest.importorskip('mmpretrain')

SMALL = dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,))
WIDER = dict(SMALL, widths=(6, 8))


def build(**settings) -> AlignPurifier:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(ConfigDict(type='AlignPurifier', mean=[120.0] * 3, std=[60.0] * 3, **settings))


def trained(**settings) -> AlignPurifier:
    purifier = build(generator=SMALL, **settings)
    torch.nn.init.normal_(purifier.generator.head.weight)
    purifier.num_updates += 7
    return purifier.eval()


@pytest.fixture
def exported(tmp_path):
    purifier = trained(working_size=(8, 8))
    save_purifier_export(purifier.export(), tmp_path / 'new' / 'purifier.pth')
    return purifier, tmp_path / 'new' / 'purifier.pth'


def test_round_trip(exported, make_images):
    purifier, path = exported
    assert [file.name for file in path.parent.iterdir()] == ['purifier.pth'], 'no temporary file'
    loaded = build(init_cfg=dict(type='Pretrained', checkpoint=str(path))).eval()
    assert (int(loaded.num_updates), loaded.working_size) == (7, (8, 8))
    loaded.check_ready()
    images = make_images(2, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(loaded.purify(images), purifier.purify(images))


def test_holds_the_generator_alone(exported):
    _, path = exported
    content = torch.load(path, weights_only=True)
    assert content['generator'] == SMALL
    assert not any('discriminator' in name or 'native' in name for name in content['state_dict'])


def test_loads_for_the_undefended_checkpoint_of_another_model(exported, make_classifier):
    """MMEngine loads that non-strictly; the purifier's weights stay the export's."""
    purifier, path = exported
    plain = make_classifier(seed=1)
    defended = make_classifier(
        seed=2, type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=str(path)), mean=[1.0] * 3
    )
    ours = defended.data_preprocessor
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    load_state_dict(defended, plain.state_dict(), strict=False)
    assert torch.equal(defended.head.fc.weight, plain.head.fc.weight)
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())
    assert torch.equal(ours.generator.head.weight, purifier.generator.head.weight)
    ours.check_ready()


def test_another_generator_in_the_config(exported):
    _, path = exported
    with pytest.raises(ValueError, match=r'purifier\.pth was exported from another generator .*do not fit'):
        build(generator=WIDER, init_cfg=dict(type='Pretrained', checkpoint=str(path)))


def test_files_that_are_no_export(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        load_purifier_export(tmp_path / 'nowhere.pth')
    torch.save({'state_dict': {}, 'meta': {}}, tmp_path / 'training.pth')
    with pytest.raises(ValueError, match=r'training\.pth is not an exported purifier.*export_purifier'):
        load_purifier_export(tmp_path / 'training.pth')
    (tmp_path / 'text.pth').write_text('hello')
    with pytest.raises(ValueError, match=r'text\.pth is no checkpoint'):
        load_purifier_export(tmp_path / 'text.pth')


def test_a_full_disk_leaves_the_previous_export(exported, monkeypatch):
    purifier, path = exported
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(checkpoints.os, 'fsync', full)
    with pytest.raises(OSError, match='cannot write.*No space left'):
        save_purifier_export(purifier.export(), path)
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize('other', [WIDER, dict(SMALL, encoder_units=(2, 1))], ids=['widths', 'depth'])
def test_a_checkpoint_of_another_generator_is_refused(make_classifier, other):
    """Loaded non-strictly it would leave the generator random, and its number of updates would call that trained."""
    theirs = make_classifier(type='AlignPurifier', generator=SMALL)
    theirs.data_preprocessor.num_updates += 7
    ours = make_classifier(type='AlignPurifier', generator=other)
    with pytest.raises(ValueError, match=r'trained with another generator than .*: \S+ and \d+ more'):
        load_state_dict(ours, theirs.state_dict(), strict=False)
    assert int(ours.data_preprocessor.num_updates) == 0


def test_a_checkpoint_without_the_discriminator_is_fine(make_classifier):
    """Testing needs none, and neither does fine-tuning with another objective."""
    theirs = make_classifier(type='AlignPurifier', generator=SMALL)
    discriminator = dict(type='MultiscaleDiscriminator', base_channels=4, num_layers=1, num_scales=1)
    ours = make_classifier(seed=3, type='AlignPurifier', generator=SMALL, discriminator=discriminator)
    load_state_dict(ours, theirs.state_dict(), strict=False)
    load_state_dict(theirs, ours.state_dict(), strict=False)
