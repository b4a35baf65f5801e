"""A probe during training: what it measures, when it warns, and that training does not notice."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.hooks import PurifierTrainHook, RobustnessProbeHook

pytest.importorskip('mmpretrain')
FGSM = dict(type='FGSM', eps=8)
PGD = dict(type='PGD', eps=8, step_size=4, steps=2)
NATIVE = dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)
STILL = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.0))
PURIFIER = dict(custom_hooks=[dict(type='PurifierTrainHook', attack=PGD, threat='adaptive')])
MODEL = dict(
    custom_hooks=[dict(type='AdversarialTrainingHook', attack=PGD)],
    data_preprocessor=dict(_delete_=True, type='ClsDataPreprocessor', **NATIVE),
    # Dropout, so that what the update draws counts.
    model=dict(backbone=dict(_delete_=True, type='WideResNet', depth=10, widen_factor=1, dropout=0.3)),
    load_from=None,
)


def with_probe(settings: dict, **probe) -> dict:
    probe = dict(type='RobustnessProbeHook', interval=1, **probe)
    return {**settings, 'custom_hooks': [*settings['custom_hooks'], probe]}


def logged(runner, name: str) -> float:
    return runner.message_hub.get_scalar(f'train/accuracy/{name}').current()


def test_measures_what_an_attacker_who_knows_both_achieves(train):
    """Training attacks the target alone, the probe purifier and target; six of the eight images."""
    hooks = [dict(type='PurifierTrainHook', attack=FGSM)]
    runner, spy = train(
        **with_probe(dict(custom_hooks=hooks), attack=FGSM, num_images=6),
        data_preprocessor=dict(discriminator=None),
        optim_wrapper=STILL,
        batch_size=8,
    )
    model, batch = runner.model.eval(), spy.batches[0]
    clean = batch['inputs'][:6]
    labels = torch.cat([sample.gt_label for sample in batch['data_samples']])[:6]

    def target(images):
        return model.head.fc(model.backbone((images - 79.8) / 90.9)[-1].mean((2, 3)))

    def protected(images):
        return target((model.data_preprocessor.generator(images / 127.5 - 1) + 1) * 127.5)

    def accuracy_under(attacked):
        images = clean.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(attacked(images), labels, reduction='sum'), images)
        adversarial = (clean + 8 * gradient.sign()).clamp(0, 255)
        return (protected(adversarial).argmax(1) == labels).float().mean().item()

    assert logged(runner, 'training_attack') == pytest.approx(accuracy_under(target))
    assert logged(runner, 'probe') == pytest.approx(accuracy_under(protected))


def test_counts_decisions_that_have_a_ground_truth():
    """Three of the four pixels have one, and two are right."""
    hook = RobustnessProbeHook(num_images=1)
    labels = torch.tensor([[[0, 1], [2, 255]]])
    logits = F.one_hot(torch.tensor([[[0, 2], [2, 1]]]), 3).permute(0, 3, 1, 2).float()
    task = SimpleNamespace(labels=lambda samples, device: labels, fit=lambda scores, labels: scores, ignore_index=255)
    hook._source = SimpleNamespace(
        task=task,
        undisturbed=nullcontext,
        logits=lambda images: logits,
        prepare_samples=lambda images, samples: samples,
    )
    assert hook._count(torch.zeros(1, 3, 2, 2), []).tolist() == [2, 3]
    task.ignore_index = None
    assert hook._count(torch.zeros(1, 3, 2, 2), []).tolist() == [2, 4]


@pytest.mark.parametrize('settings', [PURIFIER, MODEL], ids=['purifier', 'model'])
def test_training_does_not_notice(train, saving, tmp_path, settings):
    states = []
    for name, given in (('plain', settings), ('probed', with_probe(settings, attack=PGD))):
        # Augmentation that draws from the global state.
        pipeline = (dict(type='RandomCrop', crop_size=32, padding=4),)
        runner, spy = train(**given, pipeline=pipeline, work_dir=str(tmp_path / name), checkpoint=dict(saving))
        saved = torch.load(tmp_path / name / 'epoch_1.pth', weights_only=True)
        states.append((saved['state_dict'], spy.outputs, torch.get_rng_state()))
    (plain, outputs, random), (probed, others, other_random) = states
    assert plain.keys() == probed.keys() and all(torch.equal(plain[name], probed[name]) for name in plain)
    assert outputs == others and torch.equal(random, other_random)
    assert 0 <= logged(runner, 'probe') <= 1


@pytest.mark.parametrize(
    'trained, probed, stop, expected',
    [(0.8, 0.05, True, (1, 2)), (0.8, 0.05, False, (3, 3)), (0.8, 0.3, True, (3, 0)), (0.3, 0.05, True, (3, 0))],
)
def test_warns_of_a_collapse_and_may_stop(make_config, monkeypatch, trained, probed, stop, expected):
    from mmengine.runner import Runner

    counts = [torch.tensor([100 * share, 100]) for share in (trained, probed)] * 3
    monkeypatch.setattr(RobustnessProbeHook, '_count', lambda *_: counts.pop(0))
    loop = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=3, val_interval=1000)
    runner = Runner.from_cfg(
        make_config(
            **with_probe(dict(custom_hooks=[dict(type='PurifierTrainHook', attack=FGSM)]), attack=FGSM, stop=stop),
            data_preprocessor=dict(discriminator=None),
            train_cfg=loop,
        )
    )
    said = []
    monkeypatch.setattr(runner.logger, 'warning', lambda text, *_: said.append(text))
    runner.train()
    said = [text for text in said if 'overfitting' in text or 'ends the training' in text]
    assert (runner.iter, len(said)) == expected
    if said:
        assert said[0].startswith(
            'iteration 1: catastrophic overfitting: 80.0% right under the training attack, 5.0% un'
        )


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(interval=0), 'interval must be an integer >= 1, got 0'),
        (dict(high=0.1, collapsed=0.2), '0 <= collapsed < high <= 1, got collapsed=0.2 and high=0.1'),
        (dict(attack=dict(type='PGDD', eps=8)), "unknown attack 'PGDD'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        RobustnessProbeHook(**settings)


def test_a_detector_has_no_accuracy(make_task_runner):
    hooks = [dict(type='AdversarialTrainingHook', attack=dict(FGSM, objective='cls')), dict(type='RobustnessProbeHook')]
    runner, _ = make_task_runner('mmdet', hooks)
    with pytest.raises(
        ValueError, match='RobustnessProbeHook: a detector has no one set of class scores; leave it out'
    ):
        runner.train()
    with pytest.raises(ValueError, match='goes with one PurifierTrainHook'):
        RobustnessProbeHook().before_train(SimpleNamespace(hooks=[PurifierTrainHook(FGSM), PurifierTrainHook(FGSM)]))
