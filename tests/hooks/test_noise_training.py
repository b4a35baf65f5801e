"""Training for randomized smoothing: the purifier's own noise, and that alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

pytest.importorskip('mmpretrain')
OBJECTIVE = Path(__file__).parents[2] / 'configs' / '_base_' / 'defenses' / 'objective_smoothed.py'
PURIFIER = dict(
    type='SmoothedPurifier',
    sigma=20.0,
    generator=dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,)),
)


@pytest.mark.parametrize(
    ('scope', 'train_on'), [('mmpretrain', 'adversarial'), ('mmpretrain', 'both'), ('mmseg', 'adversarial')]
)
def test_trains_on_noisy_images(scope, train_on, make_task_runner):
    settings = {**Config.fromfile(OBJECTIVE).objective, 'train_on': train_on}
    noise = dict(type='GaussianNoise', sigma=20.0)
    hook = dict(type='PurifierTrainHook', attack=noise, require_checkpoint=False, **settings)
    runner, spy = make_task_runner(scope, [hook], PURIFIER)
    runner.train()
    batch = spy.batches[0]
    clean, noisy = (torch.stack(list(batch[name])) for name in ('inputs', 'adversarial_inputs'))
    middle = (clean > 60) & (clean < 195)
    assert (noisy - clean)[middle].std().item() == pytest.approx(20, rel=0.1)
    assert noisy.min() >= 0 and noisy.max() <= 255
    assert {'loss_pixel_adv', 'loss_feature_adv'} <= set(spy.outputs[0])
    assert runner.model.data_preprocessor.generator.head.weight.any(), 'it began with zeros'


@pytest.mark.parametrize(
    ('attack', 'found'),
    [
        (dict(type='FGSM', eps=8), 'no such noise'),
        (dict(type='GaussianNoise', sigma=30), 'sigma=30'),
        ([dict(type='GaussianNoise', sigma=20), dict(type='GaussianNoise', sigma=30)], 'sigma=20, 30'),
    ],
    ids=['attack', 'other', 'several'],
)
def test_other_images_are_refused_before_training(attack, found, make_task_runner):
    hook = dict(type='PurifierTrainHook', attack=attack, require_checkpoint=False)
    runner, _ = make_task_runner('mmpretrain', [hook], PURIFIER)
    with pytest.raises(ValueError, match=rf'SmoothedPurifier\(sigma=20\) must be trained on its own noise.* {found}:'):
        runner.train()
