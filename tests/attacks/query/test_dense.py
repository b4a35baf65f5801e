"""Query attacks on a segmentor and a detector."""

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData

from mmadvdefense import compat
from mmadvdefense.attacks import AttackBatch, AttackSource, CleanReference, Randomness, build_attack
from mmadvdefense.attacks.criteria import is_fooled, is_misclassified
from mmadvdefense.pixels import stack
from mmadvdefense.training.preparation import drop_pretrained_backbones

DECISION_ATTACKS = [dict(type='SignFlip', eps=200, queries=25), dict(type='GeoDA', eps=200, queries=25, sigma=5.0)]


def build(scope, model):
    compat.apply_for_scope(scope)
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope(scope):
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(model))
        model.init_weights()
    return model.eval()


@pytest.fixture(scope='module')
def segmentor():
    """Random weights with labels that it finds right at first, but for an ignored corner."""
    pytest.importorskip('mmseg.models')
    from mmseg.structures import SegDataSample

    norm = dict(type='BN')
    model = build(
        'mmseg',
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[110.0] * 3, std=[60.0] * 3),
            backbone=dict(
                type='ResNetV1c',
                depth=18,
                base_channels=8,
                stem_channels=8,
                num_stages=2,
                strides=(1, 1),
                dilations=(1, 1),
                out_indices=(1,),
                norm_cfg=norm,
            ),
            decode_head=dict(
                type='FCNHead', in_channels=16, channels=8, num_convs=1, num_classes=4, in_index=0, norm_cfg=norm
            ),
            test_cfg=dict(mode='whole'),
        ),
    )
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, generator=torch.Generator().manual_seed(1))
    coarse = 128 + 20 * torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    images = F.interpolate(coarse, (24, 32), mode='bilinear')
    source = AttackSource(model, gradients=False)
    labels = source.logits(images).argmax(1).detach()
    labels[:, :4, :4] = 255
    samples = [
        SegDataSample(metainfo=dict(img_shape=(24, 32)), gt_sem_seg=PixelData(data=mask[None])) for mask in labels
    ]
    return SimpleNamespace(source=source, images=images, samples=samples, labels=labels)


def wrong_share(host, images):
    known = host.labels != 255
    wrong = (host.source.logits(images).argmax(1) != host.labels) & known
    return wrong.flatten(1).sum(1) / known.flatten(1).sum(1)


def test_square_turns_pixels_of_a_segmentor(segmentor):
    assert wrong_share(segmentor, segmentor.images).max() == 0
    attack = build_attack(dict(type='Square', eps=8, queries=60))
    result = attack.run(segmentor.source, segmentor.images, segmentor.samples, Randomness([0, 1]))
    noise = torch.randn(segmentor.images.shape, generator=torch.Generator().manual_seed(0)).sign() * 8
    by_noise = wrong_share(segmentor, (segmentor.images + noise).clamp(0, 255))
    assert (wrong_share(segmentor, result.images) > by_noise + 0.05).all()
    assert result.queries.tolist() == [60, 60]
    assert (result.images - segmentor.images).abs().max() <= 8 + 1e-3


def test_a_segmentor_is_fooled_by_a_share_of_its_known_pixels(segmentor):
    for share in (0.3, 0.4):
        attack = build_attack(dict(type='Square', eps=8, queries=60, success_threshold=share))
        result = attack.run(segmentor.source, segmentor.images, segmentor.samples, Randomness([0, 1]))
        assert (wrong_share(segmentor, result.images) >= share).all()
        assert result.queries.max() < 60


def test_decisions_on_pixels_by_hand(segmentor):
    source, images = segmentor.source, segmentor.images
    samples = source.prepare_samples(images, segmentor.samples)
    batch = AttackBatch(source, samples, CleanReference(source, images), Randomness(0), *stack(images))
    logits = F.one_hot(segmentor.labels.where(segmentor.labels < 4, 0), 4).movedim(3, 1).float()
    # 24 * 32 - 16 = 752 known pixels; 376 are half of them. The ignored ones count on neither side.
    logits[0, :, 4:15, :] = logits[0, :, 4:15, :].roll(1, 0)
    logits[0, :, 15, :24] = logits[0, :, 15, :24].roll(1, 0)
    logits[1, :, :4, :4] = logits[1, :, :4, :4].roll(1, 0)
    assert is_misclassified(logits, batch, 376 / 752).tolist() == [True, False]
    assert is_misclassified(logits, batch, 377 / 752).tolist() == [False, False]
    batch.target = segmentor.labels
    assert is_misclassified(logits, batch, 0.5).tolist() == [True, True]
    assert is_misclassified(logits, batch, 0.51).tolist() == [False, True]
    batch.target = torch.full_like(segmentor.labels, 255)
    assert is_misclassified(logits, batch, 0.1).tolist() == [False, False]


def test_sign_flip_on_a_segmentor(segmentor):
    attack = build_attack(dict(type='SignFlip', eps=20, queries=150, success_threshold=0.4))
    result = attack.run(segmentor.source, segmentor.images, segmentor.samples, Randomness([0, 1]))
    fooled = wrong_share(segmentor, result.images) >= 0.4
    assert fooled.any()
    changed = (result.images - segmentor.images).abs().amax((1, 2, 3))
    assert ((changed > 0) == fooled).all() and changed.max() <= 20 + 1e-3


@pytest.fixture(scope='module')
def detector():
    pytest.importorskip('mmdet.models')
    from mmdet.structures import DetDataSample
    from mmengine.hub import get_config

    config = Config(dict(model=get_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py').model))
    drop_pretrained_backbones(config.model)
    config.merge_from_dict(
        {
            'model.backbone.base_channels': 8,
            'model.backbone.stem_channels': 8,
            'model.neck.in_channels': [8, 16, 32, 64],
            'model.neck.out_channels': 32,
            'model.bbox_head.num_classes': 3,
            'model.bbox_head.in_channels': 32,
            'model.bbox_head.feat_channels': 32,
            'model.bbox_head.stacked_convs': 1,
        }
    )
    model = build('mmdet', config.model)
    samples = []
    for boxes in ([[8.0, 8, 40, 40]], [[20.0, 4, 60, 30], [4.0, 30, 30, 60]]):
        sample = DetDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64), batch_input_shape=(64, 64)))
        sample.gt_instances = InstanceData(bboxes=torch.tensor(boxes), labels=torch.arange(len(boxes)))
        samples.append(sample)
    images = 255 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return SimpleNamespace(source=AttackSource(model, gradients=False), images=images, samples=samples)


def losses(host, images, part):
    """Of each image alone."""
    samples = host.source.prepare_samples(images, host.samples)
    values = []
    with torch.no_grad(), host.source.undisturbed():
        for index, sample in enumerate(samples):
            entries = host.source.losses(images[[index]], [sample])
            # One tensor a pyramid level.
            values.append(sum(sum(entries[f'loss_{name}']) for name in part))
    return torch.stack(values)


@pytest.mark.parametrize('options', [dict(), dict(objective='cls')])
def test_square_raises_the_losses_of_a_detector(detector, options):
    attack = build_attack(dict(type='Square', eps=8, queries=25, **options))
    result = attack.run(detector.source, detector.images, detector.samples, Randomness([0, 1]))
    part = ('cls',) if options else ('cls', 'bbox')
    before = losses(detector, detector.images, part)
    noise = torch.randn(detector.images.shape, generator=torch.Generator().manual_seed(0)).sign() * 8
    by_noise = losses(detector, (detector.images + noise).clamp(0, 255), part)
    after = losses(detector, result.images, part)
    assert (after > before).all() and (after > by_noise).all()
    # Nothing counts as success, so that all queries are used.
    assert result.queries.tolist() == [25, 25]


@pytest.fixture
def sure_detector(detector):
    """With scores near one half, and its own detections as ground truth but in the last image, which has none."""
    head = detector.source.model.bbox_head
    bias, most = head.retina_cls.bias.detach().clone(), head.test_cfg.max_per_img
    head.retina_cls.bias.data.zero_()
    head.test_cfg.max_per_img = 4
    images = 255 * torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    samples = [copy.deepcopy(sample) for sample in [*detector.samples, detector.samples[0]]]
    for sample in samples:
        sample.set_metainfo(dict(scale_factor=(1.0, 1.0)))
    with torch.no_grad():
        found = detector.source.model.test_step(dict(inputs=images, data_samples=copy.deepcopy(samples)))
    for index, (sample, prediction) in enumerate(zip(samples, found)):
        known = prediction.pred_instances[: 0 if index == 2 else 4]
        sample.gt_instances = InstanceData(bboxes=known.bboxes, labels=known.labels)
    yield SimpleNamespace(source=detector.source, images=images, samples=samples)
    head.retina_cls.bias.data.copy_(bias)
    head.test_cfg.max_per_img = most


def f1(host, images):
    """As the report has it."""
    with torch.no_grad():
        predictions = host.source.model.test_step(dict(inputs=images, data_samples=copy.deepcopy(host.samples)))
    return host.source.task.score_samples(predictions).score


@pytest.mark.parametrize('config', DECISION_ATTACKS, ids=lambda config: config['type'])
def test_decisions_on_a_detector(config, sure_detector):
    host = sure_detector
    assert f1(host, host.images)[:2].tolist() == [1, 1]
    result = build_attack(config).run(host.source, host.images, host.samples, Randomness([0, 1, 2]))
    changed = (result.images - host.images).abs().amax((1, 2, 3))
    assert changed[:2].max() > 0 and changed.max() <= 200 + 1e-3
    # What changed is what fools the detector; an image without objects never does.
    assert ((f1(host, result.images) < 0.5) == (changed > 0)).all() and changed[2] == 0
    assert result.queries.max() <= 25


def test_square_stops_where_a_detector_is_fooled(sure_detector):
    host = sure_detector
    attack = build_attack(dict(type='Square', eps=60, queries=30, objective='vanish', success_threshold=0.5))
    result = attack.run(host.source, host.images, host.samples, Randomness([0, 1, 2]))
    fooled = f1(host, result.images) < 0.5
    assert fooled.any() and (result.queries[fooled] < 30).all() and torch.equal(result.images[2], host.images[2])


def test_a_higher_threshold_asks_for_more(sure_detector):
    host = sure_detector
    samples = host.source.prepare_samples(host.images, host.samples)
    batch = AttackBatch(
        host.source, samples, CleanReference(host.source, host.images), Randomness(0), *stack(host.images)
    )
    batch.source.prediction_scores = lambda *_: torch.tensor([0.5, 0.0, torch.nan])
    try:
        fooled = {share: is_fooled(host.images, batch, share).tolist() for share in (0.4, 0.5, 1.0)}
    finally:
        del batch.source.prediction_scores
    assert fooled == {0.4: [True, True, False], 0.5: [False, True, False], 1.0: [False, True, False]}


def test_gradients_of_class_scores_are_not_those_of_a_detector(detector):
    with pytest.raises(ValueError, match='no one set of class scores; use SignFlip or GeoDA'):
        attack = build_attack(dict(type='CurlsWhey', eps=8, queries=10))
        attack(AttackSource(detector.source.model), detector.images, detector.samples, Randomness(0))


def test_there_are_no_targets_on_a_detector(detector):
    attack = build_attack(dict(type='Square', eps=8, queries=5, targeted=True))
    with pytest.raises(ValueError, match='there are no targets'):
        attack(detector.source, detector.images, detector.samples, Randomness(0))
