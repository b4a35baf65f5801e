"""RFBNet300 as MMDetection modules: its published size, its levels, its anchors, and the layout of SSDHead."""

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config

import mmadvdefense.networks  # noqa: F401  registers RFBNeck

pytest.importorskip('mmdet')
TARGETS = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'
SIZES = (38, 19, 10, 5, 3, 1)
ANCHORS = (6, 6, 6, 6, 4, 4)


def build(name='rfbnet300'):
    from mmdet.registry import MODELS
    from mmengine.registry import DefaultScope

    from mmadvdefense.compat import apply_for_scope

    apply_for_scope('mmdet')
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(Config.fromfile(TARGETS / f'{name}.py').model).eval()


@pytest.fixture(scope='module')
def detector():
    return build()


@pytest.fixture(scope='module')
def batch():
    from mmdet.testing import demo_mm_inputs

    return demo_mm_inputs(2, [(3, 300, 300)] * 2, num_items=[2, 1], num_classes=20)


def test_parameter_count(detector):
    assert sum(parameter.numel() for parameter in detector.parameters()) == 36_531_296


def test_levels_and_output_layout(detector):
    with torch.no_grad():
        levels = detector.extract_feat(torch.rand(1, 3, 300, 300))
        scores, boxes = detector.bbox_head(levels)
    channels = (512, 1024, 512, 256, 256, 256)
    assert [tuple(level.shape) for level in levels] == [(1, c, s, s) for c, s in zip(channels, SIZES)]
    assert [tuple(map_.shape) for map_ in scores] == [(1, a * 21, s, s) for a, s in zip(ANCHORS, SIZES)]
    assert [tuple(map_.shape) for map_ in boxes] == [(1, a * 4, s, s) for a, s in zip(ANCHORS, SIZES)]
    assert tuple(detector.bbox_head.num_base_priors) == ANCHORS


def test_layout_differs_from_ssd_in_anchors_only(detector):
    ssd = build('ssd300')
    assert type(ssd.bbox_head) is type(detector.bbox_head)
    with torch.no_grad():
        image = torch.rand(1, 3, 300, 300)
        ours, theirs = detector.bbox_head(detector.extract_feat(image)), ssd.bbox_head(ssd.extract_feat(image))
    for our_maps, their_maps in zip(ours, theirs):
        assert [map_.shape[2:] for map_ in our_maps] == [map_.shape[2:] for map_ in their_maps]
    assert tuple(ssd.bbox_head.num_base_priors) == (4, 6, 6, 6, 4, 4)


def test_anchors_are_the_authors(detector):
    """Sizes, order and limits as in the configuration that the published checkpoints belong to."""
    smallest, largest = (30, 60, 111, 162, 213, 264), (60, 111, 162, 213, 264, 315)
    levels = detector.bbox_head.prior_generator.grid_priors([(size, size) for size in SIZES], device='cpu')
    assert sum(map(len, levels)) == 11620
    for level, cells, stride, small, large, count in zip(
        levels, SIZES, (8, 16, 32, 64, 100, 300), smallest, largest, ANCHORS
    ):
        shapes = [(small, small), (sqrt(small * large), sqrt(small * large))]
        for ratio in (2, 3)[: count // 2 - 1]:
            shapes += [(small * sqrt(ratio), small / sqrt(ratio)), (small / sqrt(ratio), small * sqrt(ratio))]
        expected = [
            [(x + 0.5) * stride, (y + 0.5) * stride, *shape]
            for y in range(cells)
            for x in range(cells)
            for shape in shapes
        ]
        centre, extent = np.split(np.clip(expected, 0, 300), 2, axis=1)
        corners = torch.tensor(np.hstack([centre - extent / 2, centre + extent / 2]), dtype=torch.float32)
        torch.testing.assert_close(level, corners, rtol=1e-5, atol=1e-3)


def test_trains(batch):
    detector = build().train()
    losses = detector._run_forward(detector.data_preprocessor(batch, training=True), mode='loss')
    total = sum(sum(losses[name]) for name in ('loss_cls', 'loss_bbox'))
    assert total.isfinite()
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.neck.parameters())


def test_predicts(detector, batch):
    with torch.no_grad():
        results = detector.test_step(batch)
    assert len(results) == 2
    for result in results:
        boxes = result.pred_instances
        assert boxes.bboxes.shape == (len(boxes), 4) and boxes.bboxes.isfinite().all()
        assert ((boxes.labels >= 0) & (boxes.labels < 20)).all()


def test_importing_the_package_does_not_import_mmdetection():
    import subprocess
    import sys

    code = "import sys, mmadvdefense.networks.rfbnet; sys.exit('mmdet' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
