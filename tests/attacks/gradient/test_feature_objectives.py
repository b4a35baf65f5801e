"""Values of feature objectives by hand, and which layers they read."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmadvdefense.attacks import AttackBatch, AttackSource, CleanReference, Randomness
from mmadvdefense.attacks.gradient.feature_maps import FeatureMap, read_feature_maps, resolution_layers
from mmadvdefense.attacks.gradient.feature_objectives import TransferablePerturbationObjective
from mmadvdefense.attacks.objectives import build_objective
from mmadvdefense.pixels import stack

OBJECTIVES = (
    'FeatureDistanceObjective',
    'FeatureDisruptionObjective',
    'TransferablePerturbationObjective',
    'DispersionObjective',
)
# One image, two channels at two positions.
CLEAN = torch.tensor([[[1.0, 4.0], [3.0, 0.0]]])
OTHER = torch.tensor([[[2.0, 4.0], [-1.0, 1.0]]])


def layer_values(name, features=OTHER, clean=CLEAN, mask=None):
    return build_objective(dict(type=name)).layer_values(FeatureMap(features, mask), clean)


def test_mean_squared_distance():
    # 1, 0, 16 and 1 over four values
    assert layer_values('FeatureDistanceObjective').tolist() == [4.5]


def test_disruption():
    """Means over channels are 2 and 2: strong are the 3 and the 4, which became -1 and 4; weak the others, 2 and 1."""
    expected = 0.5 * math.log(2**2 + 1**2) - 0.5 * math.log(1**2 + 4**2)
    assert layer_values('FeatureDisruptionObjective').item() == pytest.approx(expected)


def test_disruption_of_nothing_is_finite():
    features = torch.tensor([[[0.0, 0.0], [5.0, 2.0]]], requires_grad=True)
    value = layer_values('FeatureDisruptionObjective', features, features.detach())
    value.sum().backward()
    assert value.isfinite().all() and features.grad.isfinite().all() and features.grad[0, 1].ne(0).all()


def test_power_normalised_distance():
    # roots: 1, 2, sqrt(3), 0 became sqrt(2), 2, -1, 1
    expected = (math.sqrt(2) - 1) ** 2 + (math.sqrt(3) + 1) ** 2 + 1
    assert layer_values('TransferablePerturbationObjective').item() == pytest.approx(expected)
    squares = TransferablePerturbationObjective(power=1.0).layer_values(FeatureMap(OTHER), CLEAN)
    assert squares.tolist() == [18]


def test_the_slope_of_the_power_is_finite_at_zero():
    features = torch.tensor([[[0.0, 2.0]]], requires_grad=True)
    TransferablePerturbationObjective().layer_values(FeatureMap(features), torch.ones(1, 1, 2)).sum().backward()
    assert features.grad.isfinite().all() and features.grad[0, 0, 1] != 0


def test_dispersion():
    # 2, 4, -1, 1 with mean 1.5: squares 0.25 + 6.25 + 6.25 + 0.25 over 3
    assert layer_values('DispersionObjective').item() == pytest.approx(-math.sqrt(13 / 3))
    assert layer_values('DispersionObjective').item() == pytest.approx(-OTHER.std().item())
    flat = torch.full((1, 2, 2), 3.0, requires_grad=True)
    value = layer_values('DispersionObjective', flat)
    value.sum().backward()
    assert value.item() == pytest.approx(0) and flat.grad.isfinite().all()


@pytest.mark.parametrize('name', OBJECTIVES)
def test_padding_counts_nowhere(name):
    """A second image of one position, padded to two with features that must not be seen."""
    features = torch.cat([OTHER, torch.tensor([[[5.0, 99.0], [1.0, -99.0]]])])
    clean = torch.cat([CLEAN, torch.tensor([[[2.0, 7.0], [3.0, 7.0]]])])
    mask = torch.tensor([[[True, True]], [[True, False]]])
    both = layer_values(name, features, clean, mask)
    torch.testing.assert_close(both[:1], layer_values(name))
    torch.testing.assert_close(both[1:], layer_values(name, features[1:, :, :1], clean[1:, :, :1]))


# --- through a model ------------------------------------------------------------------------------------------------


@pytest.fixture
def attacked(tiny_classifier, make_images, make_samples):
    """Clean and other images, as an objective meets them; a list of two sizes."""
    tiny_classifier.eval()
    source = AttackSource(tiny_classifier)
    clean, other = ([make_images(3, 12, 10, seed=s), make_images(3, 8, 12, seed=s + 1)] for s in (0, 5))
    samples = make_samples(2)
    return SimpleNamespace(
        batch=AttackBatch(source, samples, CleanReference(source, clean), Randomness([0, 1]), *stack(clean)),
        clean=clean,
        other=other,
    )


def features_by_hand(model, images, layer):
    """``(1, C, h, w)`` of each image, the model run on the padded batch without anything of the package."""
    native = model.data_preprocessor
    features = padded = stack([(image - native.mean) / native.std for image in images])[0]
    for stage in (model.backbone.stage1, model.backbone.stage2):
        features = stage(features)
        if stage is model.get_submodule(layer):
            break
    stride = padded.shape[-1] // features.shape[-1]
    return [
        one[None, :, : -(-image.shape[1] // stride), : -(-image.shape[2] // stride)]
        for one, image in zip(features, images)
    ]


@pytest.mark.parametrize('layer', ['backbone.stage1', 'backbone.stage2'])
def test_distance_at_a_layer_of_images_of_two_sizes(layer, attacked):
    model = attacked.batch.source.model
    clean, other = (features_by_hand(model, images, layer) for images in (attacked.clean, attacked.other))
    expected = torch.stack([(a - b).square().mean() for a, b in zip(clean, other)])
    objective = build_objective(dict(type='FeatureDistanceObjective', layers=layer))
    torch.testing.assert_close(objective.values(attacked.other, attacked.batch), expected)
    assert objective.values(attacked.clean, attacked.batch).tolist() == [0, 0]


def test_layers_add_up(attacked):
    both, first, second = (
        build_objective(dict(type='FeatureDisruptionObjective', layers=layers)).values(attacked.other, attacked.batch)
        for layers in (None, ['backbone.stage1'], ['backbone.stage2'])
    )
    torch.testing.assert_close(both, first + second)


def test_the_middle_resolution_is_the_default(attacked):
    for name in ('FeatureDistanceObjective', 'DispersionObjective'):
        default, named = (
            build_objective(dict(type=name, layers=layers)).values(attacked.other, attacked.batch)
            for layers in (None, 'backbone.stage2')
        )
        torch.testing.assert_close(default, named)


def test_smoothness(attacked):
    """A change of one pixel by 9 makes the mean of its 9 neighbours 1; at a corner only 4 of these are of the image."""
    changed = [image.clone() for image in attacked.clean]
    changed[0][0, 5, 5] += 9
    changed[1][1, 7, 11] -= 9
    objective = TransferablePerturbationObjective(feature_weight=0, smooth_weight=2.0)
    torch.testing.assert_close(objective.values(changed, attacked.batch), torch.tensor([18.0, 8.0]))
    wide = TransferablePerturbationObjective(feature_weight=0, smooth_weight=2.0, box_size=1)
    torch.testing.assert_close(wide.values(changed, attacked.batch), torch.tensor([18.0, 18.0]))


@pytest.mark.parametrize('weight', [1.0, 0.25])
def test_the_cross_entropy_of_tap(weight, tiny_classifier, image_batch):
    """From the forward pass that gives the features: one query for it and one for the clean features."""
    tiny_classifier.eval()
    source, clean = AttackSource(tiny_classifier), image_batch.images
    other = (clean + 5).clamp(0, 255)

    def values(**settings):
        samples = source.prepare_samples(clean, image_batch.samples)
        batch = AttackBatch(source, samples, CleanReference(source, clean), Randomness(0), *stack(clean))
        objective = TransferablePerturbationObjective(**settings)
        return objective.values(other, batch), objective, batch

    without, label_free, _ = values()
    value, objective, batch = values(label_weight=weight)
    native = tiny_classifier.data_preprocessor
    logits = tiny_classifier((other - native.mean) / native.std)
    expected = -logits.log_softmax(1)[range(6), image_batch.labels]
    torch.testing.assert_close(value - without, weight * expected, rtol=1e-4, atol=1e-4)
    assert objective.needs_labels and not label_free.needs_labels
    assert batch.queries.tolist() == [2] * 6


def test_a_detector_has_no_cross_entropy(attacked):
    task = attacked.batch.source.task
    task.reference = lambda inputs: attacked.batch.source.model.backbone(inputs) and None

    def no_scores(inputs):
        raise ValueError('a detector has no one set of class scores')

    task.logits = no_scores
    TransferablePerturbationObjective().values(attacked.other, attacked.batch)
    with pytest.raises(ValueError, match='no one set of class scores'):
        TransferablePerturbationObjective(label_weight=1.0).values(attacked.other, attacked.batch)


def test_clean_features_are_read_once_a_batch(attacked):
    runs = []
    attacked.batch.source.model.backbone.register_forward_hook(lambda *_: runs.append(torch.is_grad_enabled()))
    objective = build_objective(dict(type='FeatureDistanceObjective', layers='backbone.stage1'))
    for _ in range(3):
        objective.values(attacked.other, attacked.batch)
    assert runs == [False, True, True, True]
    assert attacked.batch.queries.tolist() == [4, 4]
    part = attacked.batch.select([1])
    alone = objective.values(attacked.other[1:], part)
    assert alone.shape == (1,) and part.queries.tolist() == [2]
    runs.clear()
    build_objective(dict(type='DispersionObjective', layers='backbone.stage1')).values(attacked.other, attacked.batch)
    assert runs == [True]


# --- which layers there are -----------------------------------------------------------------------------------------


def layers_of(config):
    from mmengine.registry import MODELS, DefaultScope

    pytest.importorskip('mmpretrain.models')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = nn.Module()
        model.backbone = MODELS.build(config)
    model.backbone.eval()
    task = SimpleNamespace(reference=lambda inputs: model.backbone(inputs))
    source = SimpleNamespace(model=model, task=task, preprocess=lambda images: images)
    found = resolution_layers(source, torch.zeros(2, 3, 64, 64))
    assert not any(module._forward_hooks for module in model.modules())
    return found


SWIN = dict(
    type='SwinTransformer',
    arch=dict(embed_dims=8, depths=[2] * 4, num_heads=[2] * 4),
    img_size=64,
    window_size=2,
)
VIT = dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16)


@pytest.mark.parametrize(
    'config, expected',
    [
        (dict(type='ResNet', depth=18), ['bn1', 'layer1', 'layer2', 'layer3', 'layer4']),
        (dict(type='VGG', depth=16), ['features.1', 'features.4', 'features.8', 'features.12', 'features.16']),
        (SWIN, ['stages.0.blocks.1', 'stages.1.blocks.1', 'stages.2.blocks.1', 'norm3']),
        (dict(type='VisionTransformer', arch=VIT, img_size=64), ['patch_embed.projection', 'ln1']),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_the_last_layer_at_each_resolution(config, expected):
    assert layers_of(config) == [f'backbone.{name}' for name in expected]


def test_a_model_without_backbone(attacked):
    del attacked.batch.source.model.backbone
    with pytest.raises(ValueError, match='ImageClassifier has no backbone .*layers='):
        resolution_layers(attacked.batch.source, attacked.clean)


@pytest.mark.parametrize(
    'layer, message',
    [
        ('backbone.stage3', r"no layer 'backbone.stage3'; did you mean .*backbone.stage2"),
        ('backbone.pair', "layer 'backbone.pair' returns int"),
    ],
)
def test_bad_layers(layer, message, attacked):
    class Pair(nn.Module):
        def forward(self, x):
            return x, 3

    backbone = attacked.batch.source.model.backbone
    backbone.pair = Pair()
    backbone.stage1[0].register_forward_pre_hook(lambda module, args: backbone.pair(args[0])[:1])
    with pytest.raises(ValueError, match=message):
        read_feature_maps(attacked.clean, [layer], attacked.batch)
    assert not any(module._forward_hooks for module in backbone.modules())


class Tokens(nn.Module):
    """``(N, L, C)``, as transformers have it."""

    def forward(self, x):
        return x.flatten(2).mT


def test_channels_of_tokens_and_vectors(attacked):
    backbone = attacked.batch.source.model.backbone
    backbone.tokens = Tokens()

    def run_tokens_too(module, args, output):
        backbone.tokens(output)

    backbone.stage1.register_forward_hook(run_tokens_too)
    layers = ['backbone.tokens', 'backbone.stage1', 'pre_logits', 'logits']
    tokens, maps, *vectors = read_feature_maps(attacked.clean, layers, attacked.batch)
    assert [tuple(one.values.shape) for one in vectors] == [(2, 16, 1), (2, 5, 1)]
    assert torch.equal(tokens.values, maps.values) and tokens.mask is None
    assert maps.mask.sum((1, 2)).tolist() == [12 * 10, 8 * 12]


@pytest.mark.parametrize(
    'settings', [dict(power=0), dict(power=2), dict(box_size=2), dict(box_size=0), dict(label_weight=-1)]
)
def test_bad_settings(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        TransferablePerturbationObjective(**settings)
