"""A linear classifier, whose smoothed radius is known, and a segmentor of which no pixel sees another."""

from __future__ import annotations

import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from torch import nn

SIDE = 4


class Unchanged(nn.Module):
    def forward(self, x):
        return (x,)


class Flatten(nn.Module):
    def forward(self, features):
        return (features[-1].flatten(1),)


@pytest.fixture
def linear(make_classifier):
    """Class 1 where the mean of an image is above 128 and class 0 where it is not; images of 4 x 4 pixels.

    An image of which all values are ``128 + d`` is ``d * sqrt(48)`` from the boundary, and the smoothed classifier has
    that very radius, as long as no noise is clipped.
    """
    values = 3 * SIDE * SIDE
    head = dict(type='LinearClsHead', num_classes=2, in_channels=values)
    model = make_classifier(Unchanged(), Flatten(), 2, head, mean=(0.0,) * 3, std=(1.0,) * 3)
    with torch.no_grad():
        model.head.fc.weight.copy_(torch.tensor([-1.0, 1.0])[:, None].expand(2, values) / values)
        model.head.fc.bias.copy_(torch.tensor([128.0, -128.0]))
    return model


@pytest.fixture
def distance():
    """The L2 norm of a change of all values of such an image by as much."""
    return lambda change: change * math.sqrt(3 * SIDE * SIDE)


@pytest.fixture
def grey():
    return lambda value: torch.full((3, SIDE, SIDE), float(value))


@pytest.fixture
def pointwise_segmentor():
    """A pixel is of class 0 where its values add up to more than 384, and of class 1 elsewhere."""
    pytest.importorskip('mmseg')
    head = dict(type='FCNHead', in_channels=3, channels=3, num_convs=0, concat_input=False)
    head.update(num_classes=2, ignore_index=11)
    with DefaultScope.overwrite_default_scope('mmseg'):
        config = ConfigDict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[128.0] * 3, std=[57.0] * 3, size_divisor=8),
            backbone=dict(type='ResNet', depth=18, base_channels=4, num_stages=1, strides=(1,), dilations=(1,)),
            decode_head=head,
            test_cfg=dict(mode='whole'),
        )
        config['backbone']['out_indices'] = (0,)
        model = MODELS.build(config)
    model.backbone = Unchanged()
    with torch.no_grad():
        model.decode_head.conv_seg.weight.copy_(torch.tensor([1.0, 0.0])[:, None, None, None].expand(2, 3, 1, 1))
        model.decode_head.conv_seg.bias.zero_()
    return model.eval()
