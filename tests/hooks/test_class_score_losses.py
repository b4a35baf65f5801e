"""TRADES and MART as the whole objective of a purifier, on the scores of its target."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmpretrain')
TRADES = dict(type='TRADESLoss', beta=3.0)
STILL = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.0))


def settings(*losses, layer='logits'):
    hook = dict(losses=losses, feature_layer=layer, task_weight=0, threat='adaptive')
    return dict(hook=hook, data_preprocessor=dict(discriminator=None), optim_wrapper=STILL)


def test_trades_of_purified_images_by_hand(train):
    runner, spy = train(**settings(TRADES), images=4)
    model, batch = runner.model.eval(), spy.batches[0]
    labels = torch.cat([sample.gt_label for sample in batch['data_samples']])[:4]

    def log_probabilities(images):
        purified = (model.data_preprocessor.generator(images / 127.5 - 1) + 1) * 127.5
        return model.head.fc(model.backbone((purified - 79.8) / 90.9)[-1].mean((2, 3))).log_softmax(1)

    with torch.no_grad():
        clean, adversarial = (log_probabilities(batch[name]) for name in ('inputs', 'adversarial_inputs'))
    divergence = (clean.exp() * (clean - adversarial)).sum(1).mean()
    assert spy.outputs[0] == pytest.approx(
        dict(
            loss=(F.nll_loss(clean, labels) + 3 * divergence).item(),
            loss_trades_clean=F.nll_loss(clean, labels).item(),
            loss_trades_kl=3 * divergence.item(),
        ),
        rel=1e-3,
    )


def test_features_that_are_no_scores(train):
    with pytest.raises(ValueError, match="10 for each vector, but the features have length 64: .*'logits'"):
        train(**settings(TRADES, layer='pre_logits'))


def test_pixels_of_a_segmentor(make_task_runner):
    hook = dict(
        type='PurifierTrainHook',
        attack=dict(type='FGSM', eps=8),
        losses=[TRADES, dict(type='MARTLoss')],
        feature_layer='logits',
        task_weight=0,
        require_checkpoint=False,
    )
    generator = dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1)
    runner, spy = make_task_runner('mmseg', [hook], dict(type='AlignPurifier', generator=generator))
    runner.train()
    (losses,) = spy.outputs
    assert {'loss_trades_clean', 'loss_trades_kl', 'loss_mart_bce', 'loss_mart_kl'} <= losses.keys()
    assert all(0 < value < 100 for name, value in losses.items() if name.startswith('loss_')), losses
