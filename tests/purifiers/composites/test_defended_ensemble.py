"""Ensembles of defended models: the combinations of HGD's appendix C, by hand, and as attackers meet them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmadvdefense.attacks import Randomness, build_attack
from mmadvdefense.models import build_model
from mmadvdefense.purifiers import EnsemblePurifier, Purifier
from mmadvdefense.tasks import task_of
from mmadvdefense.threats import build_source

pytest.importorskip('mmpretrain')
GENERATOR = dict(type='DUNet', widths=(2, 3), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)
# Members differ in what they do to pixels, too.
NATIVES = [dict(mean=[80.0] * 3, std=[90.0] * 3), dict(mean=[10.0, 20.0, 30.0], std=[50.0] * 3, to_rgb=True)]


@pytest.fixture
def member(tmp_path):
    """Write the config and the checkpoint of a classifier with random weights, with a purifier or without."""

    def write(name: str, seed: int, purifier: bool = True, num_classes: int = 10) -> dict:
        preprocessor = dict(num_classes=num_classes, **NATIVES[seed % 2])
        if purifier:
            preprocessor.update(type='HGDPurifier', generator=GENERATOR)
        config = Config(
            dict(
                default_scope='mmpretrain',
                model=dict(
                    type='ImageClassifier',
                    backbone=dict(type='CIFARResNet', depth=8),
                    neck=dict(type='GlobalAveragePooling'),
                    head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=64),
                ),
                data_preprocessor=preprocessor,
            )
        )
        config.dump(tmp_path / f'{name}.py')
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = build_model(config)
            # One stream for each part: the model is the same with and without a purifier.
            for part in (model.backbone, model.head, model.data_preprocessor):
                torch.manual_seed(seed)
                for parameter in part.parameters():
                    nn.init.normal_(parameter, std=0.3)
            if purifier:
                model.data_preprocessor.num_updates += 1
        torch.save({'state_dict': model.state_dict()}, tmp_path / f'{name}.pth')
        return dict(config=str(tmp_path / f'{name}.py'), checkpoint=str(tmp_path / f'{name}.pth'))

    return write


def build(*members: dict, **settings):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(ConfigDict(type='DefendedEnsemble', members=list(members), **settings)).eval()


@pytest.fixture
def pair(member):
    """Two defended models, and their parts as functions of pixels."""
    members = [member('a', 1), member('b', 2)]
    models = []
    for entry in members:
        model = build_model(entry['config']).eval()
        model.load_state_dict(torch.load(entry['checkpoint'], weights_only=True)['state_dict'])
        models.append(model)

    def scores(index: int, pixels: torch.Tensor) -> torch.Tensor:
        settings = NATIVES[(index + 1) % 2]
        pixels = pixels.flip(1) if settings.get('to_rgb') else pixels
        inputs = (pixels - torch.tensor(settings['mean']).view(3, 1, 1)) / torch.tensor(settings['std']).view(3, 1, 1)
        return models[index].head.fc(models[index].backbone(inputs)[-1].mean((2, 3)))

    return SimpleNamespace(
        members=members, scores=scores, purify=[model.data_preprocessor.purify for model in models], models=models
    )


@pytest.fixture
def images(make_images):
    return make_images(4, 3, 16, 16)


def defended(ensemble, images):
    inputs = ensemble.data_preprocessor({'inputs': images, 'data_samples': None})['inputs']
    return ensemble(inputs)


@torch.no_grad()
def test_combinations_by_hand(pair, images):
    (purify_a, purify_b), scores = pair.purify, pair.scores
    one, two = purify_a(images), purify_b(images)
    expected = {
        'paired': (scores(0, one) + scores(1, two)) / 2,
        'crossed': (scores(0, one) + scores(1, one) + scores(0, two) + scores(1, two)) / 4,
        'images': (scores(0, (one + two) / 2) + scores(1, (one + two) / 2)) / 2,
    }
    outputs = {combine: defended(build(*pair.members, combine=combine), images) for combine in expected}
    for combine, output in outputs.items():
        torch.testing.assert_close(output, expected[combine], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(outputs['paired'], outputs['crossed'], atol=1e-3)


@torch.no_grad()
def test_one_purifier_in_front_of_two_models(pair, member, images):
    """LGD1 -> A & B of the paper; and with its own model alone, B as it is."""
    bare = member('bare', 2, purifier=False)
    one = pair.purify[0](images)
    for combine, last in (('images', one), ('crossed', one), ('paired', images)):
        output = defended(build(pair.members[0], bare, combine=combine), images)
        expected = (pair.scores(0, one) + pair.scores(1, last)) / 2
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_without_purifiers(pair, member, images):
    ensemble = build(member('c', 1, purifier=False), member('d', 2, purifier=False))
    assert not isinstance(ensemble.data_preprocessor, Purifier)
    expected = (pair.scores(0, images) + pair.scores(1, images)) / 2
    torch.testing.assert_close(defended(ensemble, images), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('combine', ['paired', 'crossed', 'images'])
def test_switched_off_and_as_lists(pair, images, combine):
    ensemble = build(*pair.members, combine=combine)
    on = defended(ensemble, images)
    torch.testing.assert_close(defended(ensemble, list(images)), on)
    ensemble.data_preprocessor.enabled = False
    expected = (pair.scores(0, images) + pair.scores(1, images)) / 2
    torch.testing.assert_close(defended(ensemble, images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('threat_model', ['gray-box', 'adaptive', 'adaptive-bpda'])
def test_what_attackers_see(threat_model, pair, images, make_samples):
    """One step on the members' mean scores, without the purifiers or through them."""
    ensemble, samples = build(*pair.members), make_samples(4)
    attack = build_attack(dict(type='FGSM', eps=4))
    ours = attack(build_source(ensemble, threat_model), images, samples, Randomness(0))
    pixels = images.clone().requires_grad_()
    seen = [pixels] * 2 if threat_model == 'gray-box' else [purify(pixels) for purify in pair.purify]
    if threat_model == 'adaptive-bpda':
        seen = [pixels + (view - pixels).detach() for view in seen]
    logits = (pair.scores(0, seen[0]) + pair.scores(1, seen[1])) / 2
    labels = torch.cat([sample.gt_label for sample in samples])
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction='sum'), pixels)
    theirs = (images + 4 * gradient.sign()).clamp(0, 255)
    assert ((ours - theirs).abs() < 1e-3).float().mean() > 0.99


def test_is_a_classifier_of_its_host(pair, images, make_samples):
    ensemble = build(*pair.members)
    assert task_of(ensemble).num_classes == 10
    assert isinstance(ensemble.data_preprocessor, EnsemblePurifier)
    data = ensemble.data_preprocessor({'inputs': images, 'data_samples': make_samples(4)})
    with torch.no_grad():
        scores = ensemble(data['inputs'])
        predictions = ensemble(**data, mode='predict')
        losses = ensemble(**data, mode='loss')
    assert [int(sample.pred_label) for sample in predictions] == scores.argmax(1).tolist()
    labels = torch.tensor([0, 1, 2, 3])
    assert losses['loss'].item() == pytest.approx(F.cross_entropy(scores, labels).item(), rel=1e-4)
    with pytest.raises(RuntimeError, match='not trained: train each of its members'):
        ensemble.data_preprocessor({'inputs': images, 'data_samples': make_samples(4)}, training=True)


def test_in_the_host_s_test_loop(pair, tmp_path, quick_runners):
    """Scored and attacked by a runner of MMPretrain, with the base config's own preprocessor left in place."""
    from mmengine.runner import Runner

    loader = dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='HandwrittenDigits', split='test', indices=8, pipeline=[dict(type='PackInputs')]),
    )
    config = Config(
        dict(
            default_scope='mmpretrain',
            experiment_name='test_ensembles',
            work_dir=str(tmp_path / 'work'),
            log_level='WARNING',
            model=dict(type='DefendedEnsemble', members=pair.members),
            data_preprocessor=dict(num_classes=10, mean=[1.0] * 3, std=[2.0] * 3, to_rgb=True),
            test_dataloader=loader,
            test_evaluator=dict(type='Accuracy'),
            test_cfg=dict(),
            custom_hooks=[dict(type='AttackHook', attack=dict(type='FGSM', eps=4))],
        )
    )
    metrics = Runner.from_cfg(config).test()
    assert 0 <= metrics['accuracy/top1'] <= 100
    assert metrics['perturbation/linf_max'] == pytest.approx(4, abs=1e-3)
    assert 0 < metrics['purified/psnr'] < 60


def test_mistakes(pair, member):
    five = member('five', 1, num_classes=5)
    with pytest.raises(ValueError, match='a predicts 10, five predicts 5'):
        build(pair.members[0], five)
    with pytest.raises(ValueError, match="combines paired, crossed, images, got 'mean'"):
        build(*pair.members, combine='mean')
    with pytest.raises(ValueError, match='needs members'):
        build()
    with pytest.raises(ValueError, match=r"a member of DefendedEnsemble has .*dict\(.*got {'config'"):
        build(dict(config=pair.members[0]['config']))
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        build(dict(pair.members[0], checkpoint='nowhere.pth'))
    bare = member('bare', 1, purifier=False)
    with pytest.raises(ValueError, match=r'data_preprocessor\.'):
        build(dict(pair.members[0], checkpoint=bare['checkpoint']))
