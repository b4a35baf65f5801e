"""What a diverged training or a full disk leaves behind: the last good checkpoint, and a message that names it."""

from __future__ import annotations

import errno

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import Runner

from mmadvdefense import saving as files
from mmadvdefense.losses import PixelReconstructionLoss

pytest.importorskip('mmpretrain')


@MODELS.register_module(force=True)
class BreakingLoss(PixelReconstructionLoss):
    """NaN from the given call on."""

    name = 'breaking'

    def __init__(self, calls: int, **kwargs) -> None:
        super().__init__(adv_weight=0.0, **kwargs)
        self.calls = calls

    def forward(self, purified, guide):
        self.calls -= 1
        return super().forward(purified, guide) * (float('nan') if self.calls < 0 else 1)


def _settings(saving, calls: int = 4, **changes) -> dict:
    """Three epochs of two iterations."""
    return {
        'hook': dict(losses=[dict(type='BreakingLoss', calls=calls), dict(type='FeatureReconstructionLoss')]),
        'checkpoint': saving,
        'train_cfg.max_epochs': 3,
        **changes,
    }


def _guarded(make_config, interval: int = 50, **settings) -> Runner:
    config = make_config(**settings)
    config.custom_hooks.append(dict(type='FiniteLossGuardHook', interval=interval))
    return Runner.from_cfg(config)


def _names(folder) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix in ('.pth', '.tmp')}


@pytest.mark.parametrize('interval', [1, 50], ids=['each iteration', 'at the checkpoint'])
def test_nan_stops_training_and_spares_the_checkpoints(make_config, saving, tmp_path, interval):
    runner = _guarded(make_config, interval, **_settings(saving))
    last = tmp_path / 'work' / 'epoch_2.pth'
    with pytest.raises(FloatingPointError) as raised:
        runner.train()
    assert 'in iteration 5: loss_breaking_clean is not finite' in str(raised.value)
    assert f'Last good checkpoint: {last}' in str(raised.value)
    assert _names(tmp_path / 'work') == {'epoch_1.pth', 'epoch_2.pth'}
    state = torch.load(last, weights_only=True)['state_dict']
    assert all(value.isfinite().all() for value in state.values())

    resumed = _guarded(make_config, **_settings(saving, calls=99, load_from=str(last), resume=True))
    resumed.train()
    assert (resumed.epoch, resumed.iter) == (3, 6)
    assert (tmp_path / 'work' / 'epoch_3.pth').exists()


def test_nan_before_the_first_checkpoint(make_config, saving, tmp_path):
    with pytest.raises(FloatingPointError, match='in iteration 2: loss_breaking_clean .*checkpoint: none yet'):
        _guarded(make_config, **_settings(saving, calls=1)).train()
    assert not _names(tmp_path / 'work')


def test_nan_after_a_resumption_names_where_it_began(make_config, saving, tmp_path):
    first = str(tmp_path / 'work' / 'epoch_1.pth')
    with pytest.raises(FloatingPointError):
        _guarded(make_config, **_settings(saving, calls=2)).train()
    with pytest.raises(FloatingPointError, match=f'in iteration 3: .*Last good checkpoint: {first}'):
        _guarded(make_config, **_settings(saving, calls=0, load_from=first, resume=True)).train()


def test_a_parameter_that_is_not_finite(make_config, saving, tmp_path):
    """Finite losses, but the last step went too far."""
    # One iteration an epoch: a second one would make losses of it that are not finite.
    runner = _guarded(make_config, **_settings(saving, calls=99, images=4))

    def spoil(optimizer, *_):
        with torch.no_grad():
            runner.model.data_preprocessor.generator.head.bias.fill_(float('inf'))

    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.optim_wrapper.optimizer.register_step_post_hook(spoil)
    with pytest.raises(FloatingPointError, match=r'in iteration 1: parameter data_preprocessor\.generator\.head\.bias'):
        runner.train()
    assert not _names(tmp_path / 'work')


def test_a_full_disk_leaves_the_previous_checkpoint(make_config, saving, tmp_path, monkeypatch):
    """The disk is full from the second checkpoint on."""
    saved = []
    fsync = files.os.fsync

    def full(descriptor):
        if saved.count('file') >= 1:
            raise OSError(errno.ENOSPC, 'No space left on device')
        fsync(descriptor)

    write = files.save_file_atomically

    def counted(path, *args, **kwargs):
        write(path, *args, **kwargs)
        saved.append('file')

    with monkeypatch.context() as patch:
        patch.setattr(files.os, 'fsync', full)
        patch.setattr(files, 'save_file_atomically', counted)
        with pytest.raises(OSError, match=r'cannot write .*epoch_2\.pth.*No space left.*, is unchanged') as raised:
            _guarded(make_config, **_settings(saving, calls=99)).train()
    assert raised.value.errno == errno.ENOSPC
    work = tmp_path / 'work'
    assert _names(work) == {'epoch_1.pth'}
    assert (work / 'last_checkpoint').read_text() == str(work / 'epoch_1.pth')
    resumed = _guarded(make_config, **_settings(saving, calls=99, load_from=str(work / 'epoch_1.pth'), resume=True))
    resumed.train()
    assert resumed.iter == 6
