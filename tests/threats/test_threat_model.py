"""Each threat model by what its attacker computes: the same outputs and gradients as written down by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.attacks import FGSM, Attack, AttackSource, Corruption, Randomness, build_attack
from mmadvdefense.model_spec import ModelSpec
from mmadvdefense.models import build_model
from mmadvdefense.purifiers import Purifier, RandomPurifier
from mmadvdefense.purifiers.trained.export import save_purifier_export
from mmadvdefense.tasks import task_of
from mmadvdefense.threats import (
    DEFENSE_AWARE,
    NEEDS_PURIFIER,
    THREAT_MODELS,
    ThreatModel,
    UnsupportedAttackError,
    build_source,
)
from mmadvdefense.threats.checks import check_same_classes
from mmadvdefense.training.preparation import drop_pretrained_backbones

pytest.importorskip('mmpretrain')


class Halve(Purifier):
    """``x / 2 + x^2 / 1000``: neither its output nor its gradient is the identity's."""

    def purify(self, images: Tensor) -> Tensor:
        return images / 2 + images**2 / 1000


class Step(Halve):
    """The same without a gradient."""

    differentiable = False

    def purify(self, images: Tensor) -> Tensor:
        return super().purify(images).round()


class Noise(RandomPurifier):
    def purify(self, images: Tensor, randomness: Randomness) -> Tensor:
        return images + 20 * randomness.normal_like(images)


class Scores(Attack):
    access = 'scores'

    def perturb(self, batch):
        return batch.clean


class SingleGradient(Attack):
    supports_eot = False
    perturb = Scores.perturb


def _build(cls: type[Purifier], **settings: Any) -> Purifier:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return cls(mean=[120.0] * 3, std=[60.0] * 3, **settings)


@pytest.fixture
def defended(make_classifier) -> Callable[[type[Purifier]], nn.Module]:
    """A classifier with a purifier of this class in front."""

    def make(cls: type[Purifier], enabled: bool = True) -> nn.Module:
        model = make_classifier().eval()
        model.data_preprocessor = _build(cls)
        model.data_preprocessor.enabled = enabled
        return model

    return make


def _target(model: nn.Module, images: Tensor) -> Tensor:
    return model.head.fc(model.backbone((images - 120) / 60)[-1].mean((2, 3)))


def _gradient(function: Callable[[Tensor], Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
    """What a function gives, and the gradient of its sum of squares."""
    images = images.clone().requires_grad_()
    value = function(images)
    (gradient,) = torch.autograd.grad((value**2).sum(), images)
    return value.detach(), gradient


def _assert_same(source: AttackSource, by_hand: Callable[[Tensor], Tensor], images: Tensor) -> None:
    for ours, theirs in zip(_gradient(source.logits, images), _gradient(by_hand, images)):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * theirs.abs().max())


def _saved_model(folder: Path, name: str, num_classes: int) -> tuple[nn.Module, dict]:
    """A model that normalises by 10 and 20, and its files as a source."""
    config = folder / f'{name}.py'
    config.write_text(
        "default_scope = 'mmpretrain'\n"
        "model = dict(type='ImageClassifier', backbone=dict(type='CIFARResNet', depth=8),\n"
        "    neck=dict(type='GlobalAveragePooling'),\n"
        f"    head=dict(type='LinearClsHead', num_classes={num_classes}, in_channels=64))\n"
        f'data_preprocessor = dict(num_classes={num_classes}, mean=[10, 10, 10], std=[20, 20, 20])\n'
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build_model(str(config)).eval()
        model.init_weights()
    torch.save({'state_dict': model.state_dict()}, folder / f'{name}.pth')
    return model, dict(config=str(config), checkpoint=str(folder / f'{name}.pth'))


# What the attacker computes ------------------------------------------------------------------------------------------


def test_white_box_steps_over_the_purifier(defended, image_batch):
    model = defended(Halve)
    _assert_same(build_source(model), lambda x: _target(model, x), image_batch.images)


def test_transfer(defended, image_batch, tmp_path):
    """Another model, as it was saved."""
    other, files = _saved_model(tmp_path, 'other', num_classes=5)
    source = build_source(defended(Halve), 'transfer', files)

    def by_hand(x: Tensor) -> Tensor:
        return other.head.fc(other.backbone((x - 10) / 20)[-1].mean((2, 3)))

    _assert_same(source, by_hand, image_batch.images)


def test_adaptive_full_differentiates_through_both(defended, image_batch):
    model = defended(Halve)
    source = build_source(model, 'adaptive')
    _assert_same(source, lambda x: _target(model, x / 2 + x**2 / 1000), image_batch.images)


@pytest.mark.parametrize('cls', [Halve, Step])
def test_adaptive_bpda_with_the_identity(defended, image_batch, cls):
    """The value behind the purifier, and the gradient as if there were none: that of the target where it is."""
    model = defended(cls)
    value, gradient = _gradient(build_source(model, 'adaptive-bpda').logits, image_batch.images)
    purified = model.data_preprocessor.purify(image_batch.images)
    expected, there = _gradient(lambda x: _target(model, x), purified)
    assert torch.allclose(value, expected, rtol=1e-4, atol=1e-4)
    assert torch.allclose(gradient, there, rtol=1e-4, atol=1e-4 * there.abs().max())


@pytest.fixture
def own_purifier(tmp_path) -> tuple[Purifier, str]:
    """The attacker's own purifier, and its file."""
    generator = dict(type='DUNet', widths=(4,), encoder_units=(1,), decoder_units=())
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.random.fork_rng():
        torch.manual_seed(0)
        own = MODELS.build(dict(type='AlignPurifier', generator=generator, mean=[120.0] * 3, std=[60.0] * 3)).eval()
        for parameter in own.parameters():
            nn.init.normal_(parameter, std=0.3)
    own.num_updates += 1
    save_purifier_export(own.export(), tmp_path / 'own.pth')
    return own, str(tmp_path / 'own.pth')


def test_adaptive_bpda_with_a_substitute(defended, image_batch, own_purifier):
    """The gradient of the target goes back through the attacker's own purifier."""
    own, path = own_purifier
    model = defended(Step)
    source = build_source(model, 'adaptive-bpda', substitute=path)
    images = image_batch.images.clone().clamp(5, 250)
    value, gradient = _gradient(source.logits, images)
    expected, there = _gradient(lambda x: _target(model, x), model.data_preprocessor.purify(images))
    inputs = images.clone().requires_grad_()
    (by_hand,) = torch.autograd.grad(own.purify(inputs), inputs, there)
    assert torch.allclose(value, expected, rtol=1e-4, atol=1e-4)
    assert torch.allclose(gradient, by_hand, rtol=1e-3, atol=1e-4 * by_hand.abs().max())
    assert not torch.allclose(gradient, there, rtol=0.1, atol=0.1 * there.abs().max())


@pytest.mark.parametrize('cls', [Halve, Step, Noise])
def test_adaptive_substitute_has_nothing_of_the_real_purifier(defended, image_batch, own_purifier, cls):
    """Values and gradients are those of the target behind the attacker's own purifier, whatever the real one is."""
    own, path = own_purifier
    source = build_source(model := defended(cls), 'adaptive-substitute', substitute=path)
    _assert_same(source, lambda x: _target(model, own.purify(x)), image_batch.images.clamp(5, 250))
    assert source.gradients and source.eot_samples == 1


def test_adaptive_substitute_from_another_model(defended, image_batch, own_purifier, tmp_path):
    """Align, section 4.12, in the transfer setting of its tables: neither the target nor the purifier is known."""
    own, path = own_purifier
    other, files = _saved_model(tmp_path, 'other', num_classes=5)

    def by_hand(x: Tensor) -> Tensor:
        return other.head.fc(other.backbone((own.purify(x) - 10) / 20)[-1].mean((2, 3)))

    images = image_batch.images.clamp(5, 250)
    model = defended(Halve)
    _assert_same(build_source(model, 'adaptive-substitute', files, substitute=path), by_hand, images)
    both = build_source(model, 'adaptive-substitute', [files, files], substitute=path)
    _assert_same(both, by_hand, images)


@pytest.mark.parametrize('ensemble', [False, True])
def test_a_source_of_other_classes(defended, image_batch, tmp_path, ensemble):
    """Features need no labels: SSP runs on a model of 7 classes as it would by itself, and PGD is refused."""
    other, files = _saved_model(tmp_path, 'seven', num_classes=7)
    model, ssp = defended(Halve), build_attack(dict(type='SSP', eps=8, step_size=2, steps=2))
    source = build_source(model, 'transfer', [files] if ensemble else files, attack=ssp)
    ours = ssp(source, image_batch.images, image_batch.samples, Randomness(list(range(6))))
    alone = ssp(AttackSource(other), image_batch.images, image_batch.samples, Randomness(list(range(6))))
    assert torch.equal(ours, alone)
    tap = dict(type='TAP', eps=8, step_size=2, steps=2)
    assert build_source(model, 'transfer', files, attack=build_attack(tap)) is not None
    for attack in (
        dict(type='PGD', eps=8, step_size=2, steps=2),
        dict(tap, label_weight=1.0),
        dict(tap, restarts=2),
        dict(type='Square', eps=8),
    ):
        with pytest.raises(ValueError, match=f'7 classes, the target 5; .* {attack["type"]} asks for the true'):
            build_source(model, 'transfer', files, attack=build_attack(attack))
    with pytest.raises(ValueError, match='predicts 7 classes, the target 5; both must know the same data'):
        build_source(model, 'transfer', files)


def test_adaptive_eot_averages_over_samples(defended, image_batch):
    """FGSM's one step follows the sum of the gradients at this many draws of the attacker's own."""
    model = defended(Noise)
    source = build_source(model, 'adaptive-eot', eot_samples=3)
    images, seeds = image_batch.images, list(range(6))
    ours = FGSM(eps=4)(source, images, image_batch.samples, Randomness(seeds))

    randomness, total = Randomness(seeds), 0
    for _ in range(3):
        noise = 20 * randomness.normal_like(images)
        inputs = images.clone().requires_grad_()
        loss = nn.functional.cross_entropy(_target(model, inputs + noise), image_batch.labels, reduction='sum')
        total = total + torch.autograd.grad(loss, inputs)[0]
    expected = (images + 4 * total.sign()).clamp(0, 255)
    assert (ours - expected).abs().gt(1e-3).float().mean() < 1e-2
    assert build_source(model, 'adaptive-eot').eot_samples == 16


def test_a_random_purifier_without_a_gradient_is_averaged_over_by_bpda(defended, image_batch):
    class RoundedNoise(Noise):
        differentiable = False

        def purify(self, images, randomness):
            return super().purify(images, randomness).round()

    _, gradient = _gradient(build_source(defended(RoundedNoise), 'adaptive-eot').logits, image_batch.images)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize('enabled', [True, False])
def test_query_asks_what_answers(defended, image_batch, enabled):
    model = defended(Halve, enabled)
    source = build_source(model, 'query')
    seen = image_batch.images / 2 + image_batch.images**2 / 1000 if enabled else image_batch.images
    with torch.no_grad():
        assert torch.allclose(source.logits(image_batch.images), _target(model, seen), rtol=1e-4, atol=1e-4)
    assert not source.gradients
    with pytest.raises(ValueError, match='FGSM needs gradients'):
        FGSM(eps=4)(source, image_batch.images, image_batch.samples, Randomness(list(range(6))))


def test_who_knows_of_the_purifier(defended):
    """Exactly those whose source changes with it."""
    assert {'transfer', 'adaptive-substitute'}.isdisjoint(DEFENSE_AWARE)
    for name in set(THREAT_MODELS) - {'transfer', 'adaptive-substitute'}:
        cls = Noise if name == 'adaptive-eot' else Halve
        assert (build_source(defended(cls), name).defense is not None) == (name in DEFENSE_AWARE), name
        assert ThreatModel(name).knows_defense == (name in DEFENSE_AWARE)


# What cannot be -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('cls', 'name', 'message'),
    [
        (Step, 'adaptive', 'Step has no gradient to follow; use adaptive-bpda'),
        (Halve, 'adaptive-eot', 'Halve is not random'),
    ],
)
def test_purifiers_that_cannot_be_attacked_so(defended, cls, name, message):
    with pytest.raises(UnsupportedAttackError, match=message):
        build_source(defended(cls), name)


@pytest.mark.parametrize('name', NEEDS_PURIFIER)
def test_nothing_to_adapt_to(defended, tiny_classifier, name):
    substitute = 'own.pth' if name == 'adaptive-substitute' else None
    for model in (defended(Noise, enabled=False), tiny_classifier):
        with pytest.raises(UnsupportedAttackError, match=f'{name} attacks the purifier, and ImageClassifier has none'):
            build_source(model, name, substitute=substitute)


@pytest.mark.parametrize(
    ('attack', 'name', 'message'),
    [
        (FGSM(eps=8), 'query', 'FGSM needs gradients'),
        (Scores(eps=8), 'adaptive', 'Scores uses no gradients; use query'),
        (Scores(eps=8), 'adaptive-bpda', 'use query'),
        (Scores(eps=8), 'adaptive-eot', 'use query'),
        (SingleGradient(eps=8), 'adaptive-eot', 'does not average its gradient over samples'),
    ],
)
def test_attacks_that_mean_nothing(attack, name, message):
    with pytest.raises(UnsupportedAttackError, match=message):
        ThreatModel(name).check_attack(attack)
    with pytest.raises(UnsupportedAttackError, match='Scores uses no gradients; use query'):
        ThreatModel('adaptive-substitute', substitute='own.pth').check_attack(Scores(eps=8))


def test_nature_is_no_attacker(monkeypatch):
    monkeypatch.setattr('mmadvdefense.attacks.external.corruptions._library', lambda: None)
    fog = Corruption('fog')
    ThreatModel('natural').check_attack(fog)
    with pytest.raises(UnsupportedAttackError, match="FGSM is an attack, and 'natural' has no attacker: it takes Corr"):
        ThreatModel('natural').check_attack(FGSM(eps=8))
    for name in set(THREAT_MODELS) - {'natural', 'transfer', 'adaptive-substitute'}:
        with pytest.raises(UnsupportedAttackError, match="Corruption is no attack; use threat model 'natural'"):
            ThreatModel(name).check_attack(fog)


def test_all_else_can_run():
    for name in set(THREAT_MODELS) - {'natural'}:
        source = dict(config='a.py', checkpoint='a.pth') if name == 'transfer' else None
        substitute = 'own.pth' if name == 'adaptive-substitute' else None
        ThreatModel(name, source, substitute).check_attack(Scores(eps=8) if name == 'query' else FGSM(eps=8))
    for name in ('gray-box', 'query'):
        ThreatModel(name).check_attack(Scores(eps=8))


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ('graybox', "unknown threat model 'graybox'; did you mean gray-box"),
        ('white-box', "'gray-box' has the target .* 'adaptive' has both"),
        ('adaptive-full', "is called 'adaptive'"),
        ('nothing', 'known: gray-box, transfer'),
        ('transfer', 'needs another model to craft attacks on'),
        (
            dict(name='transfer', source=dict(config='a.py')),
            r"a source of threat model 'transfer' has no checkpoint: it must be dict\(config=...",
        ),
        (
            dict(name='gray-box', source=dict(config='a.py', checkpoint='b')),
            "takes no source, which is for 'transfer'",
        ),
        (dict(name='adaptive', substitute='a.pth'), "takes no substitute, which is for 'adaptive-bpda'"),
        (
            'adaptive-substitute',
            "needs the attacker's own purifier, substitute=..., a file of tools/export_purifier.py",
        ),
        (
            dict(name='adaptive-substitute', substitute='a.pth', source=dict(config='a.py')),
            'has no checkpoint: it must',
        ),
        (
            dict(name='adaptive-substitute', substitute='a.pth', eot_samples=3),
            "takes no eot_samples, which is for 'adaptive-eot'",
        ),
        (dict(name='adaptive-bpda', eot_samples=3), "takes no eot_samples, which is for 'adaptive-eot'"),
        (dict(name='adaptive-eot', eot_samples=0), 'eot_samples >= 1'),
        (dict(name='query', queries=100), 'bad threat model .*: queries'),
        (dict(eot_samples=3), 'bad threat model .*: no name'),
    ],
)
def test_bad_settings(config, message):
    with pytest.raises(ValueError, match=message):
        ThreatModel.parse(config)


def test_what_is_left_out():
    source = dict(config='configs/other.py', checkpoint='other.pth')
    assert ThreatModel.parse(None).name == 'gray-box'
    assert ThreatModel.parse(None, source).name == 'transfer'
    threat = ThreatModel.parse(dict(name='adaptive-eot', eot_samples=4))
    assert ThreatModel.parse(threat) is threat


def test_as_plain_dicts():
    source = dict(config=Path('configs/other.py'), checkpoint='other.pth', trust=True)
    for threat, plain in (
        (ThreatModel('gray-box'), dict(name='gray-box')),
        (ThreatModel('adaptive-eot'), dict(name='adaptive-eot', eot_samples=16)),
        (ThreatModel('adaptive-bpda', substitute='a.pth'), dict(name='adaptive-bpda', substitute='a.pth')),
        (
            ThreatModel('transfer', [source, ModelSpec('b.py', 'b.pth')]),
            dict(
                name='transfer',
                source=[{**source, 'config': 'configs/other.py'}, dict(config='b.py', checkpoint='b.pth', trust=False)],
            ),
        ),
    ):
        assert json.loads(json.dumps(threat.as_dict())) == plain
        assert ThreatModel.parse(plain).as_dict() == plain and ThreatModel.parse(plain).sources == threat.sources


def test_what_is_left_without_a_purifier():
    source = dict(config='configs/other.py', checkpoint='other.pth')
    for name in ('adaptive', 'adaptive-bpda', 'adaptive-eot'):
        assert ThreatModel(name).without_purifier() == ThreatModel('gray-box')
    assert ThreatModel('adaptive-substitute', substitute='own.pth').without_purifier() is None
    for threat in (ThreatModel('gray-box'), ThreatModel('query'), ThreatModel('transfer', source)):
        assert threat.without_purifier() is threat


def test_titles():
    source = dict(config='configs/other.py', checkpoint='other.pth')
    assert ThreatModel('transfer', source).title == 'transfer from other'
    assert ThreatModel('adaptive-bpda', substitute='a/purifier.pth').title == 'adaptive-bpda with purifier'
    assert ThreatModel('adaptive-bpda').title == 'adaptive-bpda'
    own = ThreatModel('adaptive-substitute', substitute='a/purifier.pth')
    assert own.title == 'adaptive-substitute with purifier'
    assert ThreatModel(own.name, source, own.substitute).title == 'adaptive-substitute with purifier from other'
    assert ThreatModel('adaptive-eot').title == 'adaptive-eot, 16 EOT samples'


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet'])
def test_a_source_of_another_task(tiny_classifier, make_images, scope):
    """Dispersion reduction crosses tasks (Lu et al., CVPR 2020): on a classifier, of which no labels are asked."""
    pytest.importorskip(scope)
    name = {'mmseg': 'light_pspnet_camvid', 'mmdet': 'light_ssd_bccd'}[scope]
    config = Config.fromfile(Path(__file__).parents[2] / 'configs' / 'target' / f'{name}.py')
    drop_pretrained_backbones(config.model)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dense = build_model(config)
    reduction, pgd = build_attack(dict(type='DR', eps=8, step_size=4, steps=2)), FGSM(eps=8)
    check_same_classes(tiny_classifier, dense, reduction)
    for source, target, attack in (
        (tiny_classifier, dense, pgd),
        (tiny_classifier, dense, None),
        (dense, tiny_classifier, pgd),
        (dense, tiny_classifier, reduction),
    ):
        tasks = [task_of(source).name, task_of(target).name]
        with pytest.raises(ValueError, match='source is a model for {}, the target one for {};'.format(*tasks)):
            check_same_classes(source, target, attack)
    if scope == 'mmseg':
        from mmseg.structures import SegDataSample as Sample
    else:
        from mmdet.structures import DetDataSample as Sample
    images = make_images(2, 3, 32, 40)
    samples = [Sample(metainfo=dict(img_shape=(32, 40))) for _ in images]
    source = AttackSource(tiny_classifier)
    found = reduction(source, images, source.task.in_input_frame(samples, False), Randomness([0, 1]))
    assert 4 < (found - images).abs().max() <= 8 + 1e-3
    assert [source.task.ground_truth(sample) for sample in samples] == [[], []]


def test_vgg_of_imagenet_gives_features(defended, tmp_path, make_images, make_samples):
    """SSP of Align's table V: VGG-16 without its linear layers, filled by a checkpoint that has them, on 32 pixels."""
    path = str(Path(__file__).parents[2] / 'configs' / 'target' / 'vgg16_imagenet.py')
    vgg = build_model(path)
    state = {**vgg.state_dict(), 'backbone.classifier.6.weight': torch.zeros(1000, 4096)}
    torch.save({'state_dict': state}, tmp_path / 'vgg16.pth')
    files, target = dict(config=path, checkpoint=str(tmp_path / 'vgg16.pth')), defended(Halve)
    ssp = build_attack(dict(type='SSP', eps=8, step_size=4, steps=1))
    source = build_source(target, 'transfer', files, attack=ssp)
    images = make_images(2, 3, 32, 32)
    found = ssp(source, images, make_samples(2), Randomness([0, 1]))
    assert 0 < (found - images).abs().max() <= 8
    # relu3_3
    assert list(ssp.objective._default_layers[source.model]) == ['backbone.features.8']
    pgd = build_attack(dict(type='PGD', eps=8, step_size=4, steps=1))
    with pytest.raises(ValueError, match='ImageClassifier has no head .* since PGD asks for the true class'):
        build_source(target, 'transfer', files, attack=pgd)
