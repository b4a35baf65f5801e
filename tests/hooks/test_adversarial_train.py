"""Models train on adversarial images of themselves, and the attack leaves no trace in them."""

from __future__ import annotations

import copy
import random
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import Runner
from torch import nn

from mmadvdefense.attacks import derive_seed
from mmadvdefense.hooks import AdversarialTrainingHook, AttackHook
from mmadvdefense.registry import MODELS
from mmadvdefense.training.mixed_precision import BFloat16OptimWrapper

pytest.importorskip('mmpretrain')
NATIVE = dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)
FGSM = dict(type='FGSM', eps=8)
PGD = dict(type='PGD', eps=8, step_size=4, steps=2)
# Dropout, so that what the update draws counts.
DROPOUT = dict(_delete_=True, type='WideResNet', depth=10, widen_factor=1, dropout=0.3)
DENOISING = dict(_delete_=True, type='DenoisingBackbone', backbone=dict(type='CIFARResNet', depth=8))


@pytest.fixture
def settings():
    """For the config of a model that is trained itself."""

    def make(attack: dict = FGSM, clean_start: float = 0.0, backbone: dict | None = None, **changes) -> dict:
        plain = dict(
            data_preprocessor=dict(_delete_=True, type='ClsDataPreprocessor', **NATIVE),
            custom_hooks=[dict(type='AdversarialTrainingHook', attack=attack, clean_start=clean_start)],
            optim_wrapper=dict(_delete_=True, optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        )
        if backbone:
            plain['model'] = dict(backbone=backbone)
        return {**plain, **changes}

    return make


@pytest.fixture
def robust(train, settings):
    """Train adversarially on digits; returns the runner and a spy."""

    def run(prepare=None, **given):
        return train(prepare, **settings(**given))

    return run


def still() -> dict:
    return dict(_delete_=True, optimizer=dict(type='SGD', lr=0.0))


def by_hand(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, eps: float) -> torch.Tensor:
    """FGSM with the model in eval mode."""
    model = copy.deepcopy(model).eval()
    pixels = images.clone().requires_grad_()
    logits = model.head.fc(model.backbone((pixels - 79.8) / 90.9)[-1].mean((2, 3)))
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction='sum'), pixels)
    return (images + eps * gradient.sign()).clamp(0, 255)


def test_one_iteration_by_hand(robust, target_checkpoint):
    """The batch is replaced by its attack on the model as it was, and the update is the host's own on that batch."""
    before = {}

    def keep(runner):
        loaded = torch.load(target_checkpoint, weights_only=True)['state_dict']
        before['model'] = copy.deepcopy(runner.model)
        before['model'].load_state_dict(loaded)
        before['clean'] = {
            int(item['data_samples'].sample_idx): item['inputs'].float() for item in runner.train_dataloader.dataset
        }

    runner, spy = robust(keep, images=4)
    (batch,) = spy.batches
    model, images = before['model'], batch['inputs']
    clean = torch.stack([before['clean'][sample.sample_idx] for sample in batch['data_samples']])
    labels = torch.cat([sample.gt_label for sample in batch['data_samples']])
    assert ((images - by_hand(model, clean, labels, 8)).abs() < 1e-3).float().mean() > 0.999
    # One step of SGD in train mode on the adversarial images alone.
    model.train()
    logits = model.head.fc(model.backbone((images - 79.8) / 90.9)[-1].mean((2, 3)))
    loss = F.cross_entropy(logits, labels)
    assert spy.outputs[0]['loss'] == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.05 * parameter.grad
    for (name, ours), theirs in zip(runner.model.state_dict().items(), model.state_dict().values()):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=name)


def test_attacks_leave_batch_norm_statistics_alone(robust):
    """However many forward passes it takes, statistics move once an iteration."""
    runner, spy = robust(attack=dict(PGD, steps=5))
    counts = [m.num_batches_tracked.item() for m in runner.model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert counts and set(counts) == {2}
    modules = [
        name for name, _ in runner.model.named_modules() if name.partition('.')[0] not in ('', 'data_preprocessor')
    ]
    # At the update, all of the model is in train mode again.
    assert [sorted(name.rstrip('.') for name in seen) for seen in spy.training] == [sorted(modules)] * 2
    assert all(parameter.requires_grad for parameter in runner.model.parameters())


# Starts --------------------------------------------------------------------------------------------------------------


def test_the_share_of_clean_starts():
    hook = AdversarialTrainingHook(PGD, clean_start=0.2)
    starts = [hook.starts_clean(derive_seed(0, 'adversarial', iteration, 0)) for iteration in range(3000)]
    assert 0.17 < np.mean(starts) < 0.23
    assert not any(AdversarialTrainingHook(PGD).starts_clean(derive_seed(i)) for i in range(50))
    assert all(AdversarialTrainingHook(PGD, clean_start=1).starts_clean(derive_seed(i)) for i in range(50))


@pytest.mark.parametrize('clean_start', [0.0, 1.0])
def test_clean_starts_start_from_the_clean_images(robust, clean_start):
    """One step of 1 from them ends 0 or 1 pixels away; from a random point of the ball elsewhere."""
    clean = {}

    def keep(runner):
        clean.update(
            {item['data_samples'].sample_idx: item['inputs'].float() for item in runner.train_dataloader.dataset}
        )

    _, spy = robust(
        keep, attack=dict(type='PGD', eps=8, step_size=1, steps=1), clean_start=clean_start, optim_wrapper=still()
    )
    for batch in spy.batches:
        delta = batch['inputs'] - torch.stack([clean[sample.sample_idx] for sample in batch['data_samples']])
        whole = (delta.abs() - delta.abs().round()).abs() < 1e-4
        assert delta.abs().max() <= (1 if clean_start else 8) + 1e-4
        assert whole.all() if clean_start else whole.float().mean() < 0.8


# Effect --------------------------------------------------------------------------------------------------------------


@MODELS.register_module(force=True)
class PooledPixels(nn.Module):
    """Digits at the 8 x 8 pixels they come from, and one hidden layer: learns in a second."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(64, 64)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.hidden(F.avg_pool2d(images[:, 0], 4).flatten(1)).relu(),)


def test_raises_robust_accuracy(make_config, settings):
    """Trained for as long on clean images, the same model is right on fewer attacked ones."""
    attack = dict(type='PGD', eps=30, step_size=10, steps=5)
    accuracy = {}
    for name in ('AdversarialTrainingHook', None):
        config = make_config(
            images=1200,
            batch_size=50,
            load_from=None,
            **settings(
                attack,
                model=dict(backbone=dict(_delete_=True, type='PooledPixels'), neck=None),
                train_cfg=dict(max_epochs=3),
            ),
        )
        config.custom_hooks = [hook for hook in config.custom_hooks if hook.type == name]
        config.val_dataloader = config.val_evaluator = config.val_cfg = None
        config.test_dataloader.dataset.indices = 200
        runner = Runner.from_cfg(config)
        runner.train()
        runner.register_hook(AttackHook(attack))
        accuracy[name] = runner.test()['accuracy/top1']
    assert accuracy['AdversarialTrainingHook'] > accuracy[None] + 15


TASK_ATTACKS = {
    'mmpretrain': dict(PGD, targeted='random'),
    'mmseg': dict(PGD, targeted='random'),
    'mmdet': dict(PGD, objective='cls+loc'),
}


@pytest.mark.parametrize('scope', TASK_ATTACKS)
def test_every_task(scope, make_task_runner):
    attack = TASK_ATTACKS[scope]
    runner, spy = make_task_runner(scope, [dict(type='AdversarialTrainingHook', attack=attack, clean_start=0.5)])
    clean = [item['inputs'].float() for item in (runner.train_dataloader.dataset[index] for index in range(2))]
    before = {}

    def keep(module, inputs):
        before.setdefault('state', {name: value.clone() for name, value in runner.model.state_dict().items()})

    runner.model.data_preprocessor.register_forward_pre_hook(keep)
    runner.train()
    for image, original in zip(spy.batches[0]['inputs'], clean):
        assert 4 < (image - original).abs().max() <= 8 + 1e-4
    assert 0 < spy.outputs[0]['loss'] < 1e4
    after = runner.model.state_dict()
    unchanged = [name for name in after if torch.equal(after[name], before['state'][name])]
    assert not [name for name in unchanged if name.endswith(('running_mean', 'num_batches_tracked'))]
    # Some hosts' residual branches begin with a scale of 0, and so without a gradient.
    assert len(unchanged) < 0.3 * len(after)


# Repeatability -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
def test_resumed_training_equals_uninterrupted(make_config, settings, saving, tmp_path, monkeypatch, by_epoch):
    """Augmentation, starts, attacks, dropout and the order of images repeat."""
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    pipeline = (
        dict(type='RandomCrop', crop_size=32, padding=4),
        dict(type='NumpyToPIL', to_rgb=False),
        # Draws from torch's global state, as the dropout of each update does.
        dict(type='torchvision/RandomRotation', degrees=20),
        dict(type='PILToNumpy', to_bgr=False),
    )
    changes = {'train_cfg.max_epochs': 4}
    checkpoint, names = dict(saving), ['epoch_2.pth', 'epoch_4.pth']
    if not by_epoch:
        loop = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=8, val_interval=1000)
        changes = {'train_cfg': loop}
        checkpoint, names = checkpoint | dict(interval=3, by_epoch=False), ['iter_3.pth', 'iter_6.pth']
    attack = dict(type='PGD', eps=8, step_size=4, steps=1)
    given = dict(pipeline=pipeline, checkpoint=checkpoint, **settings(attack, 0.5, DROPOUT, **changes))
    Runner.from_cfg(make_config(work_dir=str(tmp_path / 'whole'), **{**given, 'load_from': None})).train()
    (tmp_path / 'parts').mkdir()
    shutil.copy(tmp_path / 'whole' / names[0], tmp_path / 'parts')
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    resumed = dict(work_dir=str(tmp_path / 'parts'), load_from=str(tmp_path / 'parts' / names[0]), resume=True)
    Runner.from_cfg(make_config(**{**given, **resumed})).train()
    first, whole, parts = (
        torch.load(path, map_location='cpu', weights_only=True)['state_dict']
        for path in (tmp_path / 'whole' / names[0], tmp_path / 'whole' / names[1], tmp_path / 'parts' / names[1])
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not torch.equal(first['backbone.conv1.weight'], whole['backbone.conv1.weight'])


def test_mixed_precision(make_config, settings):
    runner = Runner.from_cfg(make_config(**settings(PGD, backbone=DENOISING)))
    runner.optim_wrapper = BFloat16OptimWrapper(torch.optim.SGD(runner.model.parameters(), lr=0.01))
    runner.train()
    assert all(parameter.isfinite().all() for parameter in runner.model.parameters())
    assert runner.model.backbone.denoising['layer3'].bn.weight.abs().sum() > 0, 'blocks learn'


# Checkpoints and mistakes --------------------------------------------------------------------------------------------


def test_the_plain_model_s_checkpoint_fills_a_denoising_one(robust, target_checkpoint, tmp_path):
    loaded = torch.load(target_checkpoint, weights_only=True)['state_dict']
    runner, _ = robust(backbone=DENOISING, optim_wrapper=still())
    state = runner.model.state_dict()
    weights = [name for name in loaded if name.endswith(('weight', 'bias'))]
    assert weights and all(torch.equal(state[name], loaded[name]) for name in weights)
    assert state['backbone.denoising.layer1.bn.weight'].eq(0).all()
    # A checkpoint that has blocks must have all of them.
    del state['backbone.denoising.layer2.conv.weight']
    torch.save({'state_dict': state}, tmp_path / 'incomplete.pth')
    with pytest.raises(ValueError, match='denoising.layer2.conv.weight'):
        robust(backbone=DENOISING, load_from=str(tmp_path / 'incomplete.pth'))


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(clean_start=1.5), 'clean_start must be a share of the batches, 0 to 1, got 1.5'),
        (dict(attack=FGSM, clean_start=0.2), 'clean_start=0.2 does nothing: FGSM has no random start to replace'),
        (dict(attack=dict(type='PGDD', eps=8)), "unknown attack 'PGDD'"),
    ],
)
def test_bad_settings(given, message):
    with pytest.raises(ValueError, match=message):
        AdversarialTrainingHook(**{'attack': PGD, **given})


def test_a_purifier_is_trained_by_another_hook(train, settings):
    changes = settings()
    del changes['data_preprocessor']
    with pytest.raises(ValueError, match='has a trainable purifier in front of it.*PurifierTrainHook'):
        train(**changes)


def test_a_dataset_of_other_classes(robust):
    with pytest.raises(ValueError, match='HandwrittenDigits has 2 classes, ImageClassifier predicts 10'):
        robust(**{'train_dataloader.dataset.metainfo': dict(classes=('a', 'b'))})
