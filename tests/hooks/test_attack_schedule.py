"""The budget of the training attack grows with the number of the iteration, and with nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mmadvdefense.hooks import AdversarialTrainingHook, AttackScheduleHook, PurifierTrainHook

pytest.importorskip('mmpretrain')
FGSM = dict(type='FGSM', eps=8)
TRAIN = dict(type='PurifierTrainHook', attack=FGSM, threat='adaptive')
NATIVE = dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)


def sizes(spy) -> list[float]:
    """The largest change of each batch, in pixels."""
    pairs = [(batch['inputs'], batch['adversarial_inputs']) for batch in spy.batches]
    return [(adversarial - clean).abs().max().item() for clean, adversarial in pairs]


def test_share():
    hook = AttackScheduleHook(iters=4, start=0.2)
    shares = [hook.share(iteration, hook.length) for iteration in (0, 1, 2, 4, 9)]
    assert shares == pytest.approx([0.2, 0.4, 0.6, 1, 1])


def test_eps_and_step_grow_and_go_on_growing_when_resumed(train, saving, tmp_path, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    settings = dict(
        custom_hooks=[TRAIN, dict(type='AttackScheduleHook', epochs=2)],
        data_preprocessor=dict(discriminator=None),
        checkpoint=dict(saving),
    )
    runner, spy = train(**settings, **{'train_cfg.max_epochs': 3})
    assert sizes(spy) == pytest.approx([0, 2, 4, 6, 8, 8], abs=1e-4)
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, PurifierTrainHook))
    assert hook.attack_share == 1 and hook.attack.eps == 8
    resumed = dict(load_from=str(tmp_path / 'work' / 'epoch_1.pth'), resume=True, work_dir=str(tmp_path / 'on'))
    _, spy = train(**settings, **resumed, **{'train_cfg.max_epochs': 2})
    assert sizes(spy) == pytest.approx([4, 6], abs=1e-4)


def test_of_a_model_that_is_trained_itself(train):
    clean = {}

    def note(runner):
        items = list(runner.train_dataloader.dataset)
        clean.update({item['data_samples'].sample_idx: item['inputs'].float() for item in items})

    _, spy = train(
        note,
        custom_hooks=[
            dict(type='AttackScheduleHook', iters=2, start=0.5),
            dict(type='AdversarialTrainingHook', attack=FGSM),
        ],
        data_preprocessor=dict(_delete_=True, type='ClsDataPreprocessor', **NATIVE),
        **{'train_cfg.max_epochs': 2},
    )
    changes = [
        max((image - clean[sample.sample_idx]).abs().max().item() for image, sample in zip(*pair))
        for pair in ((batch['inputs'], batch['data_samples']) for batch in spy.batches)
    ]
    assert changes == pytest.approx([4, 6, 8, 8], abs=1e-4)


def test_validation_losses_are_of_the_whole_budget():
    trained = PurifierTrainHook(attack=FGSM)
    trained.attack_share = 0.3
    AttackScheduleHook(iters=4).before_val_epoch(SimpleNamespace(hooks=[trained]))
    assert trained.attack_share == 1


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(), 'set iters or epochs, got iters=None, epochs=None'),
        (dict(iters=2, epochs=1), 'set iters or epochs, got iters=2, epochs=1'),
        (dict(epochs=0), 'epochs must be an integer >= 1, got 0'),
        (dict(iters=2, start=1), 'start is the share of the budget at first, 0 to 1, got 1'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        AttackScheduleHook(**settings)


@pytest.mark.parametrize(
    'hooks, message',
    [
        ([], 'AttackScheduleHook goes with one PurifierTrainHook or AdversarialTrainingHook .*, found 0'),
        ([PurifierTrainHook(FGSM), AdversarialTrainingHook(FGSM)], 'found 2'),
        ([AdversarialTrainingHook(dict(type='DeepFool', norm='l2'))], 'DeepFool has no budget that grows'),
    ],
)
def test_hooks_that_do_not_fit(hooks, message):
    with pytest.raises(ValueError, match=message):
        AttackScheduleHook(iters=2).before_train(SimpleNamespace(hooks=hooks))
