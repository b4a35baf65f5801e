"""What is attacked is what the host's own prediction decides on, or the attack is refused."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from torch import nn

from mmadvdefense.attacks import AttackSource, CleanReference, EnsembleSource, Randomness, build_attack
from mmadvdefense.tasks import FeatureTap, task_of

FGSM = dict(type='FGSM', eps=8)


class TwoStreams(nn.Module):
    """Ends as Conformer does: in the features of a convolution and of a transformer."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, 2, 1)
        self.transformer = nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, images):
        return ([self.convolution(images).mean((2, 3)), self.transformer(images).square().mean((2, 3))],)


@pytest.fixture
def conformer(make_classifier):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = TwoStreams()
    head = dict(type='ConformerHead', num_classes=5, in_channels=[8, 8])
    return make_classifier(backbone, nn.Identity(), head=head).eval()


def host_says(model, images):
    data = model.data_preprocessor(dict(inputs=images, data_samples=None), False)
    with torch.no_grad():
        return torch.cat([sample.pred_label for sample in model.predict(data['inputs'])])


def test_two_heads_are_added_up_as_their_host_does(conformer, make_images):
    images = make_images(40, 3, 12, 10)
    source = AttackSource(conformer)
    with torch.no_grad():
        scores = source.logits(images)
        (features,) = conformer.backbone(source.preprocess(images))
        first, second = conformer.head((features,))
    torch.testing.assert_close(scores, first + second)
    said = host_says(conformer, images)
    assert torch.equal(scores.argmax(1), said)
    assert (second.argmax(1) != said).any(), 'the second head alone decides'


# --- the check --------------------------------------------------------------------------------------------------------


@pytest.fixture
def backwards(make_classifier):
    """Its head names the class with the lowest score."""
    model = make_classifier().eval()
    predict = model.head._get_predictions
    model.head._get_predictions = lambda scores, samples: predict(-scores, samples)
    return model


MISSED = r"prediction of ImageClassifier is not the largest of its class scores in 100\.0%.*objective='task_loss'"


def test_scores_that_the_host_does_not_decide_on_are_refused(backwards, image_batch):
    source = AttackSource(backwards)
    for _ in range(2):
        # As often as it is attacked.
        with pytest.raises(ValueError, match=MISSED):
            build_attack(FGSM)(source, image_batch.images, image_batch.samples, Randomness(0))
    loss = build_attack(dict(FGSM, objective='task_loss'))
    assert (loss(source, image_batch.images, image_batch.samples, Randomness(0)) != image_batch.images).any()


def test_each_model_of_an_ensemble_is_checked(backwards, make_classifier, image_batch):
    good = make_classifier(seed=1).eval()
    attack = build_attack(FGSM)
    together = EnsembleSource([AttackSource(good), AttackSource(good)])
    assert (attack(together, image_batch.images, image_batch.samples, Randomness(0)) != image_batch.images).any()
    for combine in ('logits', 'losses'):
        ensemble = EnsembleSource([AttackSource(good), AttackSource(backwards)], combine)
        with pytest.raises(ValueError, match=MISSED):
            attack(ensemble, image_batch.images, image_batch.samples, Randomness(0))


def test_equal_scores_are_no_contradiction(tiny_classifier, image_batch):
    tiny_classifier.head.fc.weight.data.zero_()
    tiny_classifier.head.fc.bias.data.zero_()
    assert AttackSource(tiny_classifier).logits(image_batch.images).abs().max() == 0


def test_the_check_costs_one_forward_once(tiny_classifier, image_batch):
    runs = []
    tiny_classifier.backbone.register_forward_hook(lambda *_: runs.append(1))
    source = AttackSource(tiny_classifier.eval())
    source.logits(image_batch.images)
    assert len(runs) == 2
    source.logits(image_batch.images)
    assert len(runs) == 3
    # It changes nothing: neither flags nor the state of the process.
    tiny_classifier.train()
    flags, state = [module.training for module in tiny_classifier.modules()], torch.get_rng_state()
    AttackSource(tiny_classifier).check_scores(image_batch.images)
    assert [module.training for module in tiny_classifier.modules()] == flags
    assert torch.equal(torch.get_rng_state(), state)


def test_a_source_for_training_is_checked_before_and_never_after(backwards, image_batch):
    """An iteration of training waits for nothing."""
    source = AttackSource(backwards, training=True)
    assert source.logits(image_batch.images).shape == (6, 5)
    with pytest.raises(ValueError, match=MISSED):
        source.check_scores(image_batch.images)


def test_a_defense_is_left_as_it_was(tiny_classifier, image_batch):
    """Statistics of a purifier that is being trained move with its training alone."""
    norm = nn.BatchNorm2d(3)
    tiny_classifier.data_preprocessor.add_module('purifier', norm)
    source = AttackSource(tiny_classifier.train(), training=True, defense=lambda images, randomness: norm(images))
    source.check_scores(image_batch.images)
    assert not norm.running_mean.any() and norm.training


def test_predictions_of_another_form_are_refused(make_classifier, image_batch):
    model = make_classifier().eval()
    model.head.forward = lambda features: F.avg_pool2d(features[-1][:, :5, None, None], 1)
    model.head._get_predictions = lambda scores, samples: [sample.set_pred_label(0) for sample in image_batch.samples]
    with pytest.raises(ValueError, match=r'ImageClassifier gives scores \(6, 5, 1, 1\) and predicts \(6,\)'):
        AttackSource(model).logits(image_batch.images)


# --- models that slide ------------------------------------------------------------------------------------------------


def build_segmentor(mode):
    pytest.importorskip('mmseg')
    import mmseg.models  # noqa: F401
    from mmengine.config import ConfigDict
    from mmengine.registry import MODELS

    backbone = dict(
        type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, num_stages=1, strides=(1,), dilations=(1,),
        out_indices=(0,), norm_cfg=dict(type='BN'),
    )  # fmt: skip
    config = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3),
        backbone=backbone,
        decode_head=dict(type='FCNHead', in_channels=8, in_index=0, channels=8, num_convs=1, num_classes=4),
        test_cfg=dict(mode='whole') if mode == 'whole' else dict(mode='slide', crop_size=(16, 16), stride=(8, 8)),
    )
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmseg'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(config)).eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    return model


@pytest.mark.parametrize('mode', ['whole', 'slide'])
@pytest.mark.parametrize('with_features', [False, True])
def test_the_reference_has_the_scores_that_are_attacked(mode, with_features, make_images):
    """KL compares the two: at the clean image it is zero."""
    source, images = AttackSource(build_segmentor(mode)), make_images(2, 3, 24, 32)
    tap = source.task.feature_tap() if with_features else None
    reference = CleanReference(source, images, tap)
    with torch.no_grad():
        torch.testing.assert_close(reference.logits, source.logits(images))
    if with_features:
        # Features are those of the image in one piece, as in training.
        assert reference.features.shape == (2, 8, 6, 8)


def test_a_reference_without_a_tap_has_no_features(tiny_classifier, image_batch):
    reference = CleanReference(AttackSource(tiny_classifier), image_batch.images)
    assert reference.logits.shape == (6, 5) and not reference.logits.requires_grad
    with pytest.raises(RuntimeError, match='without a feature tap'):
        _ = reference.features
    with FeatureTap(tiny_classifier, 'backbone.stage1') as tap:
        task_of(tiny_classifier).reference(image_batch.images)
    assert tap.take().shape == (6, 8, 12, 10)
