"""The boxes that a detector considers are those that its own prediction is taken from."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense import compat
from mmadvdefense.attacks import AttackSource
from mmadvdefense.tasks import task_of
from mmadvdefense.tasks.detections.candidates import reader_of, score_threshold
from mmadvdefense.training.preparation import drop_pretrained_backbones

pytest.importorskip('mmdet')
CONFIGS = Path(__file__).parents[3] / 'configs' / '_base_' / 'models'
_RESNET = {'backbone.depth': 18, 'backbone.base_channels': 8, 'backbone.stem_channels': 8}
_PYRAMID = {**_RESNET, 'neck.in_channels': [8, 16, 32, 64], 'neck.out_channels': 32}
# One of each way that scores are read; the bias that makes some boxes sure enough to be predicted.
FAMILIES = {
    'ssd': (CONFIGS / 'light_ssd.py', {}),
    'fcos': (CONFIGS / 'light_fcos.py', {}),
    'faster_rcnn': (
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        {
            **_PYRAMID,
            'rpn_head.in_channels': 32,
            'rpn_head.feat_channels': 32,
            'roi_head.bbox_roi_extractor.out_channels': 32,
            'roi_head.bbox_head.in_channels': 32,
            'roi_head.bbox_head.fc_out_channels': 32,
            'roi_head.bbox_head.num_classes': 3,
        },
    ),
    'yolov3': ('yolo/yolov3_mobilenetv2_8xb24-ms-416-300e_coco.py', {'bbox_head.num_classes': 3}),
    'yolox': (
        'yolox/yolox_tiny_8xb8-300e_coco.py',
        {
            'bbox_head.num_classes': 3,
            'bbox_head.in_channels': 32,
            'bbox_head.feat_channels': 32,
            'bbox_head.stacked_convs': 1,
            'backbone.widen_factor': 0.125,
            'neck.in_channels': [32, 64, 128],
            'neck.out_channels': 32,
        },
    ),
    'detr': (
        'detr/detr_r18_8xb2-500e_coco.py',
        {
            **_RESNET,
            'neck.in_channels': [64],
            'num_queries': 5,
            'encoder.num_layers': 1,
            'decoder.num_layers': 2,
            'bbox_head.num_classes': 3,
            'test_cfg.max_per_img': 5,
        },
    ),
}


def build(family):
    from mmengine.hub import get_config

    name, changes = FAMILIES[family]
    model = Config.fromfile(name).model if isinstance(name, Path) else get_config(f'mmdet::{name}').model
    drop_pretrained_backbones(model)
    config = Config(dict(model=model))
    config.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    compat.apply_for_scope('mmdet')
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmdet'):
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        if family == 'yolox':
            # As it is built, its gradients vanish.
            logging.getLogger('mmengine').setLevel('ERROR')
            model.init_weights()
        return model.eval()


def make_samples(number):
    from mmdet.structures import DetDataSample

    size = dict(img_shape=(64, 64), ori_shape=(64, 64), pad_shape=(64, 64), batch_input_shape=(64, 64))
    samples = [DetDataSample(metainfo=dict(size, scale_factor=(1.0, 1.0))) for _ in range(number)]
    for sample in samples:
        sample.gt_instances = InstanceData(bboxes=torch.tensor([[8.0, 8, 40, 40]]), labels=torch.tensor([1]))
    return samples


@pytest.mark.parametrize('family', FAMILIES)
def test_every_detection_is_one_of_the_candidates(family):
    model = build(family)
    images = 255 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    source = AttackSource(model)
    samples = source.prepare_samples(images, make_samples(2))
    images.requires_grad_()
    with source.undisturbed():
        found = source.candidates(images, samples)
        (gradient,) = torch.autograd.grad(found.scores.sum(), images)
        with torch.no_grad():
            predicted = model.predict(source.preprocess(images), make_samples(2), rescale=False)
    assert gradient.flatten(1).any(1).all() and sum(found.counts) == len(found.labels) == len(found.boxes)
    for index, sample in enumerate(predicted):
        own = found.image == index
        for box, label, score in zip(*(sample.pred_instances[key] for key in ('bboxes', 'labels', 'scores'))):
            same = own & (found.labels == label) & ((found.boxes - box).abs().amax(1) < 1e-2)
            same &= (found.scores - score).abs() < 1e-4
            # Boxes of transformers are cut off at the edge only where they are shown.
            assert same.any() or family == 'detr'
    place, number = found.places()
    assert int(place.max()) < number <= len(place) // task_of(model).num_classes


def test_a_threshold_is_that_of_the_test_settings():
    model = build('ssd')
    assert score_threshold(model) == task_of(model).score_threshold == 0.02
    assert score_threshold(SimpleNamespace()) is None and reader_of(SimpleNamespace()) is None


def test_candidates_that_are_not_what_is_decided_on_are_refused():
    """Somebody's own head, which decides otherwise."""
    model = build('ssd')
    images = 255 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    predict = model.predict

    def other(inputs, samples, rescale=True):
        (sample,) = predict(inputs, samples, rescale)
        sample.pred_instances = sample.pred_instances[:1]
        sample.pred_instances.scores = torch.tensor([0.99])
        return [sample]

    model.predict = other
    source = AttackSource(model)
    samples = source.prepare_samples(images, make_samples(1))
    with pytest.raises(
        ValueError, match='best detection of SingleStageDetector is not the best of its candidate boxes'
    ):
        source.candidates(images, samples)
