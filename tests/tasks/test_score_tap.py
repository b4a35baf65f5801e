"""What the logits of a detector are: the class scores of its dense head."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.tasks import DetectionTask, task_of

pytest.importorskip('mmdet')
TARGETS = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'


def test_scores_of_all_levels_of_a_single_stage_detector():
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(Config.fromfile(TARGETS / 'light_ssd.py').model).eval()
    task = task_of(model)
    tap = task.feature_tap('logits')
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), tap:
        task.reference(images)
    with torch.no_grad():
        scores, _ = model(images, mode='tensor')
    expected = torch.cat([level.reshape(2, -1) for level in scores], 1)
    assert len(scores) == 3
    assert torch.equal(tap.take(), expected)


class RegionProposals(nn.Module):
    def forward(self, features):
        (feature,) = features
        return [feature, feature[..., ::2, ::2]], [feature * 4] * 2


class TwoStages(nn.Module):
    def __init__(self):
        super().__init__()
        self.rpn_head = RegionProposals()

    def extract_feat(self, inputs):
        return (inputs,)


def test_scores_of_region_proposals_of_a_two_stage_detector():
    task = DetectionTask(TwoStages())
    images = torch.arange(32.0).view(2, 1, 4, 4)
    tap = task.feature_tap('logits')
    with tap:
        task.reference(images)
    scores = tap.take()
    assert scores.shape == (2, 16 + 4)
    assert scores[1].tolist() == [*range(16, 32), 16, 18, 24, 26]


def test_the_head_runs_only_for_who_reads_it():
    task = DetectionTask(TwoStages())
    calls = []
    task.model.rpn_head.register_forward_hook(lambda *_: calls.append(1))
    task.reference(torch.zeros(1, 1, 4, 4))
    assert not calls
    task.feature_tap('logits')
    task.reference(torch.zeros(1, 1, 4, 4))
    assert calls == [1]


def test_detectors_without_a_dense_head():
    with pytest.raises(ValueError, match="Identity has no dense head, so no layer 'logits'; name a layer"):
        DetectionTask(nn.Identity()).feature_tap('logits')
    with pytest.raises(ValueError, match="no layer 'pre_logits'"):
        DetectionTask(TwoStages()).feature_tap('pre_logits')
