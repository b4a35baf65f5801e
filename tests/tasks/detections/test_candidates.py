"""The boxes that a detector considers are those that its own prediction is taken from."""

from types import SimpleNamespace

import pytest
import torch
from fixtures.thin_detectors import build_thin_detector
from mmengine.structures import InstanceData

from mmadvdefense.attacks import AttackSource
from mmadvdefense.tasks import task_of
from mmadvdefense.tasks.detections.candidates import reader_of, score_threshold

pytest.importorskip('mmdet')
# One of each way that scores are read.
FAMILIES = ('light_ssd', 'light_fcos', 'faster_rcnn', 'yolov3', 'yolox', 'detr')


def build(family):
    changes = {'test_cfg.max_per_img': 5} if family == 'detr' else {}
    # As it is built, the gradients of YOLOX vanish.
    return build_thin_detector(family, init_weights=family == 'yolox', **changes).eval()


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
    model = build('light_ssd')
    assert score_threshold(model) == task_of(model).score_threshold == 0.02
    assert score_threshold(SimpleNamespace()) is None and reader_of(SimpleNamespace()) is None


def test_candidates_that_are_not_what_is_decided_on_are_refused():
    """Somebody's own head, which decides otherwise."""
    model = build('light_ssd')
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
