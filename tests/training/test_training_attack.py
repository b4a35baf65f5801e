"""Which attack on which model makes a training batch, against gradients computed by hand."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import AttackSource, CleanReference, Randomness
from mmadvdefense.checkpoints import load_target
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.models import build_model
from mmadvdefense.training import training_attack as module
from mmadvdefense.training.training_attack import TrainingAttack

pytest.importorskip('mmpretrain')
FGSM = dict(type='FGSM', eps=8)


@pytest.fixture
def other(source_files) -> dict:
    return dict(config=source_files[0], checkpoint=source_files[1])


@pytest.fixture
def models(source_files, target_checkpoint):
    """The target, and another model of the same classes."""
    target, source = build_model(source_files[0]).eval(), build_model(source_files[0]).eval()
    load_target(target, target_checkpoint)
    load_target(source, source_files[1])
    return SimpleNamespace(target=target, source=source)


@pytest.fixture
def batch(make_images, make_samples):
    return SimpleNamespace(images=make_images(6, 3, 32, 32).clamp(20, 235), samples=make_samples(6, 10))


def prepared(models, *arguments, **settings) -> TrainingAttack:
    attack = TrainingAttack(*arguments, **settings)
    attack.prepare(AttackSource(models.target, training=True))
    return attack


def made(attack: TrainingAttack, batch, seed: int = 0) -> torch.Tensor:
    reference = CleanReference(attack._target, batch.images)
    return attack(batch.images, batch.samples, Randomness(seed), reference)


def scores(model, images: torch.Tensor) -> torch.Tensor:
    return model.head.fc(model.backbone((images - 79.8) / 90.9)[-1].mean((2, 3)))


def by_hand(batch, *models, eps: float = 8, labels=None) -> torch.Tensor:
    """One step of FGSM on the mean scores of the models."""
    images = batch.images.clone().requires_grad_()
    logits = sum(scores(model, images) for model in models) / len(models)
    labels = torch.cat([sample.gt_label for sample in batch.samples]) if labels is None else labels
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction='sum'), images)
    return (batch.images + eps * gradient.sign()).clamp(0, 255)


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    # The sign of a gradient that is almost zero may turn.
    return bool(((ours - theirs).abs() < 1e-3).float().mean() > 0.999)


def test_the_target_is_the_default_source(models, batch):
    images = made(prepared(models, FGSM), batch)
    assert same(images, by_hand(batch, models.target))
    assert not same(images, by_hand(batch, models.source))


def test_another_source(models, other, batch):
    assert same(made(prepared(models, FGSM, sources=[other]), batch), by_hand(batch, models.source))


def test_an_ensemble_averages_class_scores(models, other, batch):
    images = made(prepared(models, FGSM, sources=[['target', other]]), batch)
    assert same(images, by_hand(batch, models.target, models.source))
    assert not same(images, by_hand(batch, models.target))


def test_each_batch_draws_an_attack_and_a_source(models, other, batch):
    attack = prepared(models, [FGSM, dict(FGSM, eps=4)], sources=['target', other])
    expected = [by_hand(batch, model, eps=eps) for eps in (8, 4) for model in (models.target, models.source)]
    drawn = torch.zeros(4)
    for seed in range(60):
        images = made(attack, batch, seed)
        matches = [same(images, candidate) for candidate in expected]
        assert sum(matches) == 1
        drawn[matches.index(True)] += 1
        if seed < 5:
            assert torch.equal(images, made(attack, batch, seed)), 'drawn by the seed alone'
    assert (drawn > 5).all()


def test_an_attack_with_sources_of_its_own(models, other, batch):
    """As in table 1 of HGD: one attack on the target alone, the other on the ensemble."""
    attack = prepared(models, [dict(FGSM, sources=['target']), dict(FGSM, eps=4)], sources=[['target', other]])
    expected = [by_hand(batch, models.target), by_hand(batch, models.target, models.source, eps=4)]
    seen = {tuple(same(made(attack, batch, seed), candidate) for candidate in expected) for seed in range(20)}
    assert seen == {(True, False), (False, True)}


def test_predicted_labels_are_the_source_s_own(models, other, batch):
    for settings, model in (({}, models.target), (dict(sources=[other]), models.source)):
        with torch.no_grad():
            predicted = scores(model, batch.images).argmax(1)
        images = made(prepared(models, FGSM, labels='predicted', **settings), batch)
        assert same(images, by_hand(batch, model, labels=predicted))
        assert not same(images, by_hand(batch, model))
    assert [int(sample.gt_label) for sample in batch.samples] == [0, 1, 2, 3, 4, 5], 'samples are not changed'


def test_a_model_is_loaded_once(models, other, monkeypatch):
    loaded = []
    build = module.build_source
    monkeypatch.setattr(module, 'build_source', lambda *args, **kwargs: loaded.append(1) or build(*args, **kwargs))
    prepared(models, [FGSM, dict(FGSM, sources=[other, ['target', other]])], sources=[[other, other], 'target'])
    assert len(loaded) == 1


def test_in_training(train, other, source_files):
    """Other models' images, and nothing of them is left in the model that is trained or saved."""
    runner, spy = train(hook=dict(attack=[FGSM, dict(FGSM, eps=4)], sources=[other], labels='predicted'), images=4)
    (batch,) = spy.batches
    size = (batch['adversarial_inputs'] - batch['inputs']).abs().max()
    assert float(size) == pytest.approx(8, abs=1e-4) or float(size) == pytest.approx(4, abs=1e-4)
    (hook,) = (hook for hook in runner.hooks if type(hook).__name__ == 'PurifierTrainHook')
    assert hook.training_attack._target is None and hook.training_attack._sources == []


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(labels='guessed'), "'truth' or 'predicted', got 'guessed'"),
        (dict(attack=[]), 'at least one attack'),
        (dict(sources='target'), r"sources must be a list, such as \['target'.*got 'target'"),
        (dict(sources=[]), 'sources must be a list'),
        (dict(sources=['me']), r"a source must be 'target', 'protected', dict\(config=.*got \['me'\]"),
        (dict(sources=[[]]), r'or a list of those, got \[\]'),
        (dict(sources=[dict(config='a.py')]), r'no checkpoint: it must be dict\(config=..., checkpoint=...'),
        (dict(attack=dict(type='FGSM', eps=-1)), 'eps is a radius'),
    ],
)
def test_mistakes(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainingAttack(**{'attack': FGSM, **settings})


def test_a_detector_has_no_label_to_predict():
    from mmadvdefense.tasks import DetectionTask

    source = SimpleNamespace(task=DetectionTask(SimpleNamespace()))
    with pytest.raises(ValueError, match="labels='predicted' is not for detection"):
        TrainingAttack(FGSM, labels='predicted').prepare(source)


# An attacker who knows the purifier ----------------------------------------------------------------------------------


def _through_both(model, batch: dict, eps: float = 8) -> torch.Tensor:
    """One step of FGSM with the gradient through generator and target, written out."""
    model.eval()
    clean = batch['inputs']
    images = clean.clone().requires_grad_()
    purified = (model.data_preprocessor.generator(images / 127.5 - 1) + 1) * 127.5
    labels = torch.cat([sample.gt_label for sample in batch['data_samples']])
    loss = F.cross_entropy(scores(model, purified), labels, reduction='sum')
    (gradient,) = torch.autograd.grad(loss, images)
    return (clean + eps * gradient.sign()).clamp(0, 255)


def test_an_adaptive_attack_goes_through_the_purifier_as_it_is(train, target_checkpoint):
    before = {}

    def note(runner):
        before['model'] = copy.deepcopy(runner.model)

    runner, spy = train(note, hook=dict(threat='adaptive', attack=FGSM))
    load_target(before['model'], target_checkpoint)
    first, second = spy.batches
    assert torch.equal(first['adversarial_inputs'], _through_both(before['model'], first))
    # The purifier has taken a step since.
    assert not torch.equal(second['adversarial_inputs'], _through_both(before['model'], second))
    assert all(parameter.requires_grad for parameter in runner.model.data_preprocessor.generator.parameters())


def test_a_share_of_the_batches(train):
    runner, _ = train(hook=dict(threat=['adaptive', 'gray-box'], attack=FGSM), images=4)
    assert runner.iter == 1
    hook = PurifierTrainHook(attack=FGSM, threat=['adaptive', 'adaptive', 'gray-box'])
    assert hook.training_attack._configs == [[['protected'], ['protected'], ['target']]]


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(threat='white-box'), 'one or a list of gray-box, adaptive'),
        (dict(threat=[]), 'one or a list of gray-box, adaptive'),
        (dict(threat='adaptive', sources=['target']), "omit threat, or add 'protected' to the sources"),
    ],
)
def test_threats_that_are_none(settings, message):
    with pytest.raises(ValueError, match=message):
        PurifierTrainHook(attack=FGSM, **settings)
