"""The purifier's validation loss: its value by hand, and the checkpoint that it chooses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmadvdefense.attacks import FGSM, AttackSource, Randomness, derive_seed

pytest.importorskip('mmpretrain')
DENOISER = dict(type='DUNet', widths=(4, 6), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)
NATIVE = dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)
TERMS = dict(
    losses=[dict(type='FeatureReconstructionLoss', clean_weight=0.0, adv_guide='clean', loss_weight=2.0)],
    feature_layer='logits',
    task_weight=0.5,
    train_on='adversarial',
)


class Epochs(Hook):
    """Keeps what each validation measured, and scales the denoiser's last layer before it."""

    def __init__(self, scales: tuple = ()) -> None:
        self.scales = scales
        self.metrics: list[dict] = []
        self.states: list[dict] = []

    def before_val(self, runner) -> None:
        if self.scales:
            last = list(runner.model.data_preprocessor.generator.parameters())[-1]
            last.data.fill_(self.scales[len(self.metrics)])
        self.states.append({name: value.clone() for name, value in runner.model.state_dict().items()})

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        self.metrics.append(dict(metrics))

    priority = 'LOWEST'


@pytest.fixture
def runner(make_config):
    """Two epochs without a step on HGD's denoiser, guided by logits and labels, with a validation after each."""

    def make(hooks: tuple = (dict(type='PurifierValLossHook'),), images: int = 4, **settings) -> Runner:
        config = make_config(
            images=images,
            hook=TERMS,
            data_preprocessor=dict(_delete_=True, type='HGDPurifier', generator=DENOISER, **NATIVE),
            optim_wrapper=dict(_delete_=True, optimizer=dict(type='SGD', lr=0.0)),
            train_cfg=dict(max_epochs=2, val_interval=1),
            **settings,
        )
        config.custom_hooks.extend(hooks)
        return Runner.from_cfg(config)

    return make


def by_hand(model, loader, seed: int) -> dict[str, float]:
    """Sums over all images of twice the distance of logits and half the cross-entropy."""
    source, totals = AttackSource(model), dict(feature=0.0, task=0.0)
    for index, batch in enumerate(loader):
        images, samples = torch.stack(list(batch['inputs'])).float(), batch['data_samples']
        labels = torch.cat([sample.gt_label for sample in samples])
        randomness = Randomness(derive_seed(seed, 'val', index, 0))
        adversarial = FGSM(eps=8)(source, images, samples, randomness)
        with torch.no_grad():
            purified = (model.data_preprocessor.generator(adversarial / 127.5 - 1) + 1) * 127.5
            seen = (purified.clamp(0, 255), images)
            ours, guide = (model.head.fc(model.backbone((x - 79.8) / 90.9)[-1].mean((2, 3))) for x in seen)
        totals['feature'] += 2.0 * (ours - guide).abs().mean().item() * len(images)
        totals['task'] += 0.5 * torch.nn.functional.cross_entropy(ours, labels).item() * len(images)
    return totals


def test_by_hand(runner):
    """The mean over the images of two batches of 4 and 2, in two epochs between which BatchNorm statistics move."""
    runner = runner(images=6)
    epochs = Epochs()
    runner.register_hook(epochs)
    runner.train()
    assert epochs.metrics[0]['purifier/loss'] != epochs.metrics[1]['purifier/loss']
    for metrics, state in zip(epochs.metrics, epochs.states):
        runner.model.load_state_dict(state)
        totals = by_hand(runner.model.eval(), runner.val_dataloader, runner.seed)
        assert metrics['purifier/loss_feature_adv'] == pytest.approx(totals['feature'] / 6, rel=1e-4)
        assert metrics['purifier/task_loss'] == pytest.approx(totals['task'] / 6, rel=1e-4)
        assert metrics['purifier/loss'] == pytest.approx(sum(totals.values()) / 6, rel=1e-4)
        assert 'accuracy/top1' in metrics


def test_nothing_is_changed(runner):
    """Neither the test that goes on in the same batch nor the model sees that the loss was measured."""
    states, accuracies = [], []
    for hooks in ((), (dict(type='PurifierValLossHook'),)):
        run = runner(hooks)
        epochs = Epochs()
        run.register_hook(epochs)
        run.train()
        states.append({name: value.clone() for name, value in run.model.state_dict().items()})
        accuracies.append([metrics['accuracy/top1'] for metrics in epochs.metrics])
    assert accuracies[0] == accuracies[1]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_beside_an_attack_hook_it_sees_clean_images(runner):
    """Whichever comes first in the config."""
    losses = []
    for hooks in (
        (dict(type='PurifierValLossHook'),),
        (dict(type='AttackHook', attack=dict(type='FGSM', eps=30), stages=('val',)), dict(type='PurifierValLossHook')),
    ):
        run = runner(hooks)
        epochs = Epochs()
        run.register_hook(epochs)
        run.train()
        losses.append(epochs.metrics[0]['purifier/loss'])
    assert losses[0] == losses[1]


def test_the_checkpoint_of_the_lowest_loss_is_kept(runner):
    """The denoiser is made worse from epoch to epoch; the last accuracy is no reason to keep the last checkpoint."""
    best = dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=2, save_best='purifier/loss', rule='less',
        backend_args=dict(backend='atomic'),
    )  # fmt: skip
    run = runner(checkpoint=best)
    epochs = Epochs(scales=(0.0, 3.0))
    run.register_hook(epochs)
    run.train()
    first, second = (metrics['purifier/loss'] for metrics in epochs.metrics)
    assert first < second
    assert [path.name for path in Path(run.work_dir).glob('best_*.pth')] == ['best_purifier_loss_epoch_1.pth']


def test_only_beside_a_training(runner, make_config):
    config = make_config(train_cfg=dict(max_epochs=1, val_interval=1))
    config.custom_hooks = [dict(type='PurifierValLossHook')]
    with pytest.raises(ValueError, match='add one to custom_hooks'):
        Runner.from_cfg(config).val()
    run = runner()
    with pytest.raises(ValueError, match='leave this hook out of a validation without training'):
        run.val()


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet'])
def test_dense_tasks(scope, make_task_runner):
    """The flags by which detectors return losses, and the masks of segmentors."""
    attack = dict(type='FGSM', eps=8, **({'objective': 'cls+loc'} if scope == 'mmdet' else {}))
    hook = dict(type='PurifierTrainHook', attack=attack, require_checkpoint=False, task_weight=1.0, losses=[])
    run, _ = make_task_runner(scope, [hook], dict(type='HGDPurifier', generator=DENOISER))
    seen = []

    class Measure(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
            (train_hook,) = [h for h in runner.hooks if type(h).__name__ == 'PurifierTrainHook']
            batch = next(iter(runner.train_dataloader))
            runner.model.eval()
            flags = [module.training for module in runner.model.modules()]
            terms = train_hook.losses_of(runner.model, batch['inputs'], batch['data_samples'], Randomness(0))
            seen.append(runner.model.parse_losses(terms)[0])
            assert flags == [module.training for module in runner.model.modules()]

    run.register_hook(Measure())
    run.train()
    assert len(seen) == 1 and 0 < seen[0] < 1e4 and not seen[0].requires_grad
