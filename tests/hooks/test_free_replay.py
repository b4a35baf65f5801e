"""Free adversarial training: the gradient of an update perturbs the next replay of its batch."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.checkpoints import load_target
from mmadvdefense.hooks import FreeReplayHook
from mmadvdefense.training.free import FreePerturbation

pytest.importorskip('mmpretrain')
FGSM = dict(type='FGSM', eps=8)
NATIVE = dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)
STILL = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.0))
LOADER = dict(batch_sampler=dict(type='ReplayBatchSampler', replays=2))
# Replays must not see another crop of an image.
CROP = (dict(type='RandomCrop', crop_size=32, padding=4),)


def free(hook: dict, **settings) -> dict:
    free = dict(type='FreeReplayHook', replays=2, eps=8, step_size=6)
    return dict(custom_hooks=[hook, free], train_dataloader=LOADER, pipeline=CROP, **settings)


def labels_of(batch) -> torch.Tensor:
    return torch.cat([sample.gt_label for sample in batch['data_samples']])


def scores(model, images: torch.Tensor) -> torch.Tensor:
    return model.head.fc(model.backbone((images - 79.8) / 90.9)[-1].mean((2, 3)))


def moved(attacked, images, clean, labels) -> torch.Tensor:
    """One step of 6 along the sign of the gradient, inside 8 pixels."""
    images = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(attacked(images), labels, reduction='sum'), images)
    steps = images.detach() + 6 * gradient.sign()
    return torch.minimum(torch.maximum(steps, clean - 8), clean + 8).clamp(0, 255)


def assert_almost_all_equal(actual, expected):
    # A sum in another order may turn the sign of a gradient that is almost zero.
    assert ((actual - expected).abs() < 1e-3).float().mean() > 0.995


def test_a_model_by_hand(train):
    runner, spy = train(
        **free(
            dict(type='AdversarialTrainingHook', attack=FGSM),
            data_preprocessor=dict(_delete_=True, type='ClsDataPreprocessor', **NATIVE),
            optim_wrapper=STILL,
        )
    )
    model, inputs = runner.model.train(), [batch['inputs'].detach() for batch in spy.batches]
    assert runner.iter == 4 and torch.equal(inputs[0], inputs[0].round()), 'nothing was perturbed at first'
    # With batch statistics, as in the update.
    first = moved(lambda images: scores(model, images), inputs[0], inputs[0], labels_of(spy.batches[0]))
    assert_almost_all_equal(inputs[1], first)
    # The next batch begins with what the second replay came to.
    second = moved(lambda images: scores(model, images), inputs[1], inputs[0], labels_of(spy.batches[1]))
    carried = inputs[2] - inputs[2].round()
    assert (inputs[2] - inputs[0]).abs().max() > 16, 'another batch'
    assert (second - inputs[0]).abs().max() == 8 and carried.abs().max() < 1e-3


def test_a_purifier_by_hand(train, target_checkpoint):
    """The gradient of the clean half and of the weights does not count."""
    before = {}

    def note(runner):
        before['model'] = copy.deepcopy(runner.model)

    hook = dict(type='PurifierTrainHook', attack=FGSM, threat='adaptive')
    _, spy = train(note, **free(hook, data_preprocessor=dict(discriminator=None), optim_wrapper=STILL))
    model = before['model']
    load_target(model, target_checkpoint)
    model.eval()
    clean, first = spy.batches[0]['inputs'], spy.batches[1]['adversarial_inputs'].detach()
    assert torch.equal(spy.batches[0]['adversarial_inputs'], clean) and torch.equal(spy.batches[1]['inputs'], clean)

    def protected(images):
        return scores(model, (model.data_preprocessor.generator(images / 127.5 - 1) + 1) * 127.5)

    labels = labels_of(spy.batches[0])[: len(clean)]
    assert_almost_all_equal(first, moved(protected, clean, clean, labels))
    changes = [(batch['adversarial_inputs'] - batch['inputs']).abs().max().item() for batch in spy.batches]
    assert changes == pytest.approx([0, 6, 8, 8], abs=1e-3)


def test_resumed_training_equals_uninterrupted(train, saving, tmp_path, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    hook = dict(type='PurifierTrainHook', attack=FGSM, threat='adaptive')
    settings = free(hook, data_preprocessor=dict(discriminator=None), checkpoint=dict(saving))
    whole = train(work_dir=str(tmp_path / 'whole'), **settings, **{'train_cfg.max_epochs': 2})[0].model.state_dict()
    first = str(tmp_path / 'whole' / 'epoch_1.pth')
    resumed = dict(work_dir=str(tmp_path / 'on'), load_from=first, resume=True)
    parts = train(**resumed, **settings, **{'train_cfg.max_epochs': 2})[0].model.state_dict()
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)


def test_sizes_and_shares(make_images):
    """Images of different sizes, half of the budget, and a batch of other sizes, which begins anew."""
    images = [make_images(3, 6, 8).clamp(20, 235), make_images(3, 4, 5, seed=2).clamp(20, 235)]
    perturbation = FreePerturbation(8.0, 8.0, 'linf')
    handed_out = perturbation(images, [], None, share=0.5)
    assert all(torch.equal(ours, clean) for ours, clean in zip(handed_out, images))
    sum(image.sum() for image in handed_out).backward()
    perturbation.update()
    again = perturbation(images, [], None, share=0.5)
    assert [tuple(image.shape) for image in again] == [(3, 6, 8), (3, 4, 5)]
    assert all(torch.allclose(ours, clean + 4) for ours, clean in zip(again, images))
    other = make_images(1, 3, 4, 4)
    assert torch.equal(perturbation(other, [], None), other)
    with pytest.raises(RuntimeError, match='no gradient of the training loss has arrived'):
        perturbation.update()


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(eps=0), 'eps and step_size are pixels > 0, got 0 and 0'),
        (dict(eps=8, norm='l1'), "unknown norm 'l1'; known: linf, l2"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        FreeReplayHook(replays=2, **settings)


def test_a_loader_that_does_not_replay(train):
    hook = dict(type='PurifierTrainHook', attack=FGSM)
    with pytest.raises(ValueError, match=r"needs a data loader that replays: .*'ReplayBatchSampler', replays=2"):
        train(**{**free(hook), 'train_dataloader': {}})
