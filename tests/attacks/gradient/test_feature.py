"""Attacks on features: any task, no labels."""

from pathlib import Path

import pytest
import torch

from mmadvdefense.attacks import (
    AttackBatch,
    AttackSource,
    BackwardPass,
    CleanReference,
    FeatureObjective,
    Randomness,
    build_attack,
)
from mmadvdefense.models import build_model
from mmadvdefense.pixels import stack
from mmadvdefense.training.preparation import drop_pretrained_backbones

CONFIGS = Path(__file__).parents[3] / 'configs'
STEPS = dict(eps=8, step_size=2, steps=5)
NAMES = ['SSP', 'FDA', 'TAP', 'DR']
HOSTS = {'mmseg': 'light_pspnet_camvid.py', 'mmdet': 'light_ssd_bccd.py'}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope='module', params=HOSTS)
def dense(request):
    """A segmentor and a detector, in train mode as they come."""
    from mmengine.config import Config

    pytest.importorskip(request.param)
    config = Config.fromfile(CONFIGS / 'target' / HOSTS[request.param])
    drop_pretrained_backbones(config.model)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(config)


def samples_without_truth(model, images):
    if 'mmpretrain' in type(model).__module__:
        from mmpretrain.structures import DataSample as Sample
    elif 'mmseg' in type(model).__module__:
        from mmseg.structures import SegDataSample as Sample
    else:
        from mmdet.structures import DetDataSample as Sample
    return [Sample(metainfo=dict(img_shape=tuple(image.shape[1:]))) for image in images]


def run(config, model, images, seeds=None, **source):
    randomness = Randomness(list(range(len(images))) if seeds is None else seeds)
    samples = samples_without_truth(model, images)
    return build_attack(config).run(AttackSource(model, **source), images, samples, randomness)


def values(attack, model, clean, images):
    """What the attack raises, at some images."""
    source = AttackSource(model)
    samples = source.prepare_samples(clean, samples_without_truth(model, clean))
    batch = AttackBatch(source, samples, CleanReference(source, clean), Randomness(0), *stack(clean))
    with torch.no_grad(), source.undisturbed():
        return attack.objective.values(images, batch)


def size(adversarial, images):
    return torch.stack([(a - b).abs().max() for a, b in zip(adversarial, images)])


def assert_reaches_its_goal(config, model, images):
    result = run(config, model, images)
    adversarial = result.images
    assert type(adversarial) is type(images)
    assert (size(adversarial, images) <= 8 + 1e-3).all() and (size(adversarial, images) > 4).all()
    assert all(image.min() >= 0 and image.max() <= 255 for image in adversarial)
    attack = build_attack(config)
    reached = values(attack, model, images, adversarial)
    noise = [
        (image + 8 * torch.randn(image.shape, generator=torch.Generator().manual_seed(i)).sign()).clamp(0, 255)
        for i, image in enumerate(images)
    ]
    by_noise = values(attack, model, images, torch.stack(noise) if isinstance(images, torch.Tensor) else noise)
    assert (reached > by_noise).all()
    # Once for the clean images, unless the objective knows no clean features.
    assert result.queries.tolist() == [5 + (config['type'] != 'DR')] * len(images)


def test_classifiers(name, tiny_classifier, make_images):
    assert_reaches_its_goal(dict(type=name, **STEPS), tiny_classifier, make_images(3, 3, 12, 10))


def test_segmentors_and_detectors(name, dense, make_images):
    assert_reaches_its_goal(dict(type=name, **STEPS), dense, make_images(2, 3, 32, 40))


def test_images_of_different_sizes(name, pointwise_classifier, make_images):
    images = [make_images(3, *side, seed=i) for i, side in enumerate([(12, 10), (5, 14), (4, 4)])]
    config = dict(type=name, layers='backbone', norm='l2', eps=100, step_size=30, steps=4)
    together = run(config, pointwise_classifier, images).images
    for index, image in enumerate(images):
        alone = run(config, pointwise_classifier, [image], [index]).images[0]
        assert ((alone - together[index]).abs() < 0.1).float().mean() > 0.98
        assert 50 < (alone - image).norm() <= 100 + 1e-3


def test_detectors_take_images_of_different_sizes(name, make_images):
    pytest.importorskip('mmdet')
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(str(CONFIGS / 'target' / HOSTS['mmdet']))
    assert_reaches_its_goal(dict(type=name, **STEPS), model, [make_images(3, 32, 40), make_images(3, 40, 24, seed=2)])


@pytest.mark.parametrize('norm, eps, step_size', [('linf', 8, 2), ('l2', 60, 20)])
def test_an_image_does_not_depend_on_its_batch(name, norm, eps, step_size, tiny_classifier, make_images):
    images = make_images(3, 3, 12, 10)
    config = dict(type=name, norm=norm, eps=eps, step_size=step_size, steps=4)
    together = run(config, tiny_classifier, images).images
    alone = run(config, tiny_classifier, images[1:2], [1]).images
    assert ((alone[0] - together[1]).abs() < 0.05).float().mean() > 0.98


def test_only_a_random_start_is_random(name, tiny_classifier, make_images):
    images = make_images(2, 3, 12, 10)
    first, again, other = (
        run(dict(type=name, **STEPS), tiny_classifier, images, seeds).images for seeds in ([0, 1], [0, 1], [7, 8])
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == 'DR') == (not build_attack(dict(type=name, **STEPS)).stochastic)


@pytest.mark.parametrize('name', ['SSP', 'TAP'])
def test_at_the_clean_image_there_is_no_gradient(name, tiny_classifier, make_images):
    images = make_images(2, 3, 12, 10)
    config = dict(type=name, random_start=None, **STEPS)
    config.update(dict(smooth_weight=0) if name == 'TAP' else {})
    assert torch.equal(run(config, tiny_classifier, images).images, images)


def test_gradients_are_averaged_over_draws(name, tiny_classifier, make_images):
    """The mean over draws of noise points another way than the gradient without it."""
    drawn = []

    def defense(images, randomness):
        drawn.append(1)
        return (images + 20 * randomness.normal_like(images)).clamp(0, 255)

    images = make_images(2, 3, 12, 10)
    config = dict(type=name, random_start=None, eps=8, step_size=2, steps=1)
    one, many = (run(config, tiny_classifier, images, defense=defense, eot_samples=draws) for draws in (1, 16))
    assert many.queries[0] - one.queries[0] == 15 and len(drawn) >= 17
    assert not torch.equal(one.images, many.images)
    through = run(dict(type=name, **STEPS), tiny_classifier, images, defense=BackwardPass(defense), eot_samples=2)
    assert (size(through.images, images) > 4).all()


def test_the_model_is_left_as_it_was(name, dense, make_images):
    images, before = make_images(2, 3, 32, 40), {key: value.clone() for key, value in dense.state_dict().items()}
    flags = [module.training for module in dense.modules()]
    run(dict(type=name, **STEPS), dense, images)
    assert all(torch.equal(dense.state_dict()[key], value) for key, value in before.items())
    assert [module.training for module in dense.modules()] == flags
    assert not any(module._forward_hooks for module in dense.backbone.modules())
    assert all(parameter.grad is None for parameter in dense.parameters())


def test_labels_are_never_asked_for(name, tiny_classifier, make_images, monkeypatch):
    def labels(*args):
        raise AssertionError('an attack on features knows no labels')

    source = AttackSource(tiny_classifier)
    monkeypatch.setattr(source.task, 'labels', labels)
    images = make_images(2, 3, 12, 10)
    samples = samples_without_truth(tiny_classifier, images)
    build_attack(dict(type=name, **STEPS))(source, images, samples, Randomness(0))


def test_other_gradient_attacks_take_the_objectives(tiny_classifier, make_images):
    objective = dict(type='DispersionObjective', layers='backbone.stage1')
    images = make_images(2, 3, 12, 10)
    config = dict(type='MIFGSM', objective=objective, **STEPS)
    adversarial = run(config, tiny_classifier, images).images
    attack = build_attack(config)
    assert isinstance(attack.objective, FeatureObjective)
    before, after = (values(attack, tiny_classifier, images, x) for x in (images, adversarial))
    assert (after > before).all()


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(targeted='random'), 'no targeted form'),
        (dict(objective='kl'), 'objective'),
        (dict(eps=None), 'eps .* got None'),
        (dict(steps=0), 'steps .* got 0'),
        (dict(layer='backbone'), 'layer'),
    ],
)
def test_bad_settings(name, settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack({'type': name, **STEPS, **settings})


@pytest.mark.parametrize('config', ['ssp', 'fda', 'dr', 'ssp_cls_test', 'fda_cls_test', 'tap_cls_test', 'dr_cls_test'])
def test_configs(config):
    from mmengine.config import Config

    attack = build_attack(Config.fromfile(CONFIGS / 'attacks' / f'{config}.py').attack)
    assert type(attack).__name__ == config.split('_')[0].upper()
    if config.endswith('_cls_test'):
        budget = attack.eps / 255, attack.step_size / 255, attack.steps
        assert budget == pytest.approx((0.031, 0.0075, 100))
    else:
        assert attack.eps == 16
