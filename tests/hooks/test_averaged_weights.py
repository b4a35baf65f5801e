"""Averaged weights (EMA, SWA) beside a purifier's training: trained is trained, validated, saved and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

pytest.importorskip('mmpretrain')

COUNT = 'data_preprocessor.num_updates'
TRAIN = dict(type='PurifierTrainHook', attack=dict(type='FGSM', eps=8), losses=[dict(type='PixelReconstructionLoss')])
HOOKS = {
    'EMA with buffers': dict(type='EMAHook', update_buffers=True),
    'EMA': dict(type='mmengine.EMAHook'),
    'EMA that begins late': dict(type='EMAHook', update_buffers=True, begin_iter=2),
    'SWA': dict(type='EMAHook', ema_type='StochasticWeightAverage', update_buffers=True),
    'annealed': dict(type='mmengine.EMAHook', ema_type='MomentumAnnealingEMA', update_buffers=True, interval=2),
}


def _run(make_config, saving, hooks: list, epochs: int, **changes) -> Path:
    config = make_config(
        checkpoint=saving,
        custom_hooks=hooks,
        **{'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': 1},
        **changes,
    )
    runner = Runner.from_cfg(config)
    runner.train()
    return Path(config.work_dir)


def _counts(path: Path) -> tuple[int, int]:
    checkpoint = torch.load(path, map_location='cpu')
    return int(checkpoint['state_dict'][COUNT]), int(checkpoint['ema_state_dict'][f'module.{COUNT}'])


@pytest.mark.parametrize(
    ('average', 'average_first'),
    [*((name, True) for name in HOOKS), ('EMA with buffers', False), ('SWA', False)],
)
def test_trained_is_trained(make_config, saving, average, average_first):
    """Validation after each epoch of two iterations, and the count in both halves of the file."""
    hooks = [HOOKS[average], TRAIN] if average_first else [TRAIN, HOOKS[average]]
    work = _run(make_config, saving, hooks, epochs=1)
    assert _counts(work / 'epoch_1.pth') == (2, 2)
    resume = dict(load_from=str(work / 'epoch_1.pth'), resume=True, work_dir=str(work / 'on'))
    resumed = _run(make_config, saving, hooks, epochs=2, **resume)
    assert _counts(resumed / 'epoch_2.pth') == (4, 4)
    # The file is a trained purifier to those who know no averages.
    tester = Runner.from_cfg(make_config(custom_hooks=[], load_from=str(work / 'epoch_1.pth')))
    tester.test()
    assert int(tester.model.data_preprocessor.num_updates) == 2


def test_what_was_averaged_is_saved(make_config, saving):
    """The count goes with the averaged weights, not instead of them."""
    work = _run(make_config, saving, [dict(HOOKS['EMA with buffers'], momentum=0.25), TRAIN], epochs=1)
    checkpoint = torch.load(work / 'epoch_1.pth', map_location='cpu')
    averaged, latest = checkpoint['state_dict'], checkpoint['ema_state_dict']
    generator = [name for name in averaged if '.generator.' in name and name.endswith('weight')]
    assert generator and any(not torch.equal(averaged[name], latest[f'module.{name}']) for name in generator)


def test_files_of_before_keep_loading(make_config, saving):
    """Their count is a number of their own, whichever weights they hold; a prefix of distributed runs is none."""
    work = _run(make_config, saving, [TRAIN], epochs=1)
    old = torch.load(work / 'epoch_1.pth', map_location='cpu')
    assert old['state_dict'][COUNT].dtype == torch.int64 and int(old['state_dict'][COUNT]) == 2
    old['state_dict'] = {f'module.{name}': value for name, value in old['state_dict'].items()}
    torch.save({'state_dict': old['state_dict']}, work / 'old.pth')
    runner = Runner.from_cfg(make_config(custom_hooks=[TRAIN], load_from=str(work / 'old.pth')))
    runner.test()
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, old['state_dict'][f'module.{name}']), name
