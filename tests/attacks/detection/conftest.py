from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense import compat

MODELS_OF_CONFIGS = Path(__file__).parents[3] / 'configs' / '_base_' / 'models'


@pytest.fixture
def make_light_ssd():
    """A small detector with random weights, whose boxes have scores that differ."""
    pytest.importorskip('mmdet.models')

    def make():
        compat.apply_for_scope('mmdet')
        with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmdet'):
            torch.manual_seed(0)
            return MODELS.build(Config.fromfile(MODELS_OF_CONFIGS / 'light_ssd.py').model).eval()

    return make


@pytest.fixture
def make_det_samples():
    def make(boxes):
        from mmdet.structures import DetDataSample

        samples = []
        for own in boxes:
            sample = DetDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64), batch_input_shape=(64, 64)))
            corners = torch.tensor(own).reshape(-1, 4)
            sample.gt_instances = InstanceData(bboxes=corners, labels=torch.arange(len(corners)))
            samples.append(sample)
        return samples

    return make
