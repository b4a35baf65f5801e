"""Models and pipelines whose images are not scored one by one: their host's metric stands, and one line says why."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS, MODELS, DefaultScope
from mmengine.runner import Runner

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense import compat
from mmadvdefense.evaluation import Condition, Result, evaluate, robustness_table
from mmadvdefense.tasks import task_of
from mmadvdefense.training.preparation import drop_pretrained_backbones

pytest.importorskip('mmdet')

_serial = itertools.count()
SIZE = (64, 96)
CLASSES = ('one', 'two', 'three')
CLEAN = Condition('clean')
CLS = Condition('FGSM', dict(type='FGSM', eps=8, objective='cls'), threat_model='gray-box')
THIN = {'backbone.depth': 18, 'backbone.base_channels': 8, 'backbone.stem_channels': 8, 'neck.out_channels': 16}
THIN['neck.in_channels'] = [8, 16, 32, 64]
RPN_HEAD = {'rpn_head.in_channels': 16, 'rpn_head.feat_channels': 16}
BOX_HEAD = {
    'roi_head.bbox_roi_extractor.out_channels': 16,
    'roi_head.bbox_head.in_channels': 16,
    'roi_head.bbox_head.fc_out_channels': 16,
}
MODELS_OF = {
    'rpn': ('rpn/rpn_r50_fpn_1x_coco.py', {**THIN, **RPN_HEAD}),
    'faster_rcnn': (
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        {**THIN, **RPN_HEAD, **BOX_HEAD, 'roi_head.bbox_head.num_classes': 3},
    ),
    'panoptic': (
        'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py',
        {
            **THIN, **RPN_HEAD, **BOX_HEAD,
            'roi_head.mask_roi_extractor.out_channels': 16,
            'roi_head.mask_head.in_channels': 16,
            'roi_head.mask_head.conv_out_channels': 16,
            'roi_head.mask_head.num_convs': 1,
            'semantic_head.in_channels': 16,
            'semantic_head.inner_channels': 32,
        },
    ),
    'semi': (
        'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py',
        {f'detector.{name}': value for name, value in {**THIN, **RPN_HEAD, **BOX_HEAD}.items()}
        | {'detector.roi_head.bbox_head.num_classes': 3},
    ),
}  # fmt: skip


@METRICS.register_module(force=True)
class CountsKinds(BaseMetric):
    """What the model predicts, as the host's tools would hand it to any metric."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list) -> dict:
        kinds = {key for sample in results for key in sample if key.startswith('pred_')}
        return {'images': len(results), **dict.fromkeys(sorted(kinds), 1.0)}


def build(name: str) -> torch.nn.Module:
    from mmengine.hub import get_config

    path, changes = MODELS_OF[name]
    compat.apply_for_scope('mmdet')
    model = get_config(f'mmdet::{path}').model
    for part in (model, model.get('detector') or model):
        drop_pretrained_backbones(part)
    config = Config(dict(model=model))
    config.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmdet'):
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        model.init_weights()
    return model


@pytest.fixture
def coco(tmp_path) -> Callable[..., dict]:
    """Three images, of which the last one shows nothing."""
    import cv2

    rng = np.random.default_rng(0)
    for index in range(3):
        cv2.imwrite(str(tmp_path / f'{index}.png'), rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))

    def write(classes: tuple = CLASSES) -> str:
        boxes = [(0, 4, 4, 40, 40, 1), (0, 50, 10, 30, 30, 2), (1, 10, 8, 60, 40, 3)]
        content = dict(
            images=[dict(id=i, file_name=f'{i}.png', height=SIZE[0], width=SIZE[1]) for i in range(3)],
            annotations=[
                dict(id=i, image_id=image, bbox=[x, y, w, h], area=w * h, category_id=kind, iscrowd=0)
                for i, (image, x, y, w, h, kind) in enumerate(boxes, start=1)
            ],
            categories=[dict(id=i, name=name) for i, name in enumerate(classes, start=1)],
        )
        path = tmp_path / 'annotations.json'
        path.write_text(json.dumps(content))
        return str(path)

    return write


@pytest.fixture
def make_runner(tmp_path, coco, quick_runners) -> Callable[..., Runner]:
    def make(
        name: str, annotated: bool = True, metric: Optional[dict] = None, classes: tuple = CLASSES, **settings: Any
    ) -> Runner:
        load = [dict(type='LoadAnnotations', with_bbox=True)] if annotated else []
        resize = dict(type='Resize', scale=SIZE[::-1], keep_ratio=True)
        pipeline = [dict(type='LoadImageFromFile'), resize, *load, dict(type='PackDetInputs')]
        file = coco(classes)
        dataset = dict(
            type='CocoDataset', ann_file=file, data_prefix=dict(img=str(tmp_path)), test_mode=True,
            pipeline=pipeline, metainfo=dict(classes=classes),
        )  # fmt: skip
        evaluator = metric if 'type' in (metric or {}) else dict(type='CocoMetric', ann_file=file, **(metric or {}))
        return Runner(
            build(name),
            work_dir=str(tmp_path / 'work'),
            test_dataloader=dict(
                batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dataset
            ),
            test_cfg=dict(),
            test_evaluator=copy.deepcopy(evaluator),
            default_scope='mmdet',
            experiment_name=f'unscored_{next(_serial)}',
            log_level='ERROR',
            **settings,
        )

    return make


def assert_unscored(result: Result, images: int = 3) -> None:
    assert result.scores['images'] == result.scores['without_truth'] == images
    assert result.scores['correct'] is result.scores['score'] is result.scores['interval'] is None
    assert result.samples['score'] == result.samples['correct'] == result.samples['decision'] == [None] * images


def test_a_pipeline_without_annotations(make_runner):
    runner = make_runner('faster_rcnn', annotated=False)
    theirs = runner.test()
    clean, attacked = evaluate(runner, [CLEAN, CLS])
    assert clean.metrics == theirs and 'coco/bbox_mAP' in clean.metrics
    assert_unscored(clean)
    assert attacked.error is None and not attacked.metrics
    assert attacked.reason.endswith('0.png has no ground truth (gt_instances); the pipeline needs LoadAnnotations')
    *_, attack, scores = robustness_table([clean, attacked]).splitlines()
    assert attack == f'FGSM, none: cannot run: {attacked.reason}'
    assert scores == 'single images: 3 of 3 have no ground truth and are left out'


def test_a_panoptic_segmentor(make_runner):
    classes = tuple(f'c{i}' for i in range(133))
    runner = make_runner('panoptic', classes=classes, metric=dict(type='CountsKinds'))
    (clean,) = evaluate(runner, [CLEAN])
    assert clean.metrics == {'images': 3, 'pred_panoptic_seg': 1}
    assert_unscored(clean)
    assert clean.scores['unscored'] == 'PanopticFPN predicts no boxes, so its images are not scored one by one'
    assert robustness_table([clean]).splitlines()[-1] == f'single images are not scored: {clean.scores["unscored"]}'


def test_a_detector_with_a_teacher(make_runner):
    """Tests run the teacher, so that is what is scored and attacked."""
    runner = make_runner('semi')
    theirs = runner.test()
    assert task_of(runner.model).model is runner.model.teacher
    clean, attacked = evaluate(runner, [CLEAN, CLS])
    assert clean.metrics == theirs and clean.scores['without_truth'] == 1
    assert attacked.reason is None and 7.9 < attacked.measured['perturbation/linf_max'] <= 8.001
    runner.model.semi_test_cfg['predict_on'] = 'student'
    assert task_of(runner.model).model is runner.model.student


def test_proposals_have_no_classes(make_runner):
    """An RPN does not predict one class, but none: a data set of three is no mistake."""
    runner = make_runner('rpn', metric=dict(metric='proposal'))
    theirs = runner.test()
    clean, attacked = evaluate(runner, [CLEAN, CLS])
    assert clean.metrics == theirs and 'coco/AR@100' in theirs
    assert clean.scores['without_truth'] == 1 and 0 <= clean.scores['score'] <= 100
    assert attacked.reason is None and 7.9 < attacked.measured['perturbation/linf_max'] <= 8.001


def test_images_that_show_nothing_are_left_out(make_runner):
    (clean,) = evaluate(make_runner('faster_rcnn'), [CLEAN])
    assert clean.samples['score'][2] is clean.samples['correct'][2] is clean.samples['decision'][2] is None
    assert clean.scores['images'] == 3 and clean.scores['without_truth'] == 1 and clean.scores['unscored'] is None
    assert clean.scores['score'] == pytest.approx(50 * sum(clean.samples['score'][:2]))
    assert Path(clean.samples['image'][2]).name == '2.png'
