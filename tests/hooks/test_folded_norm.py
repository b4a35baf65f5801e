"""MMEngine's ``efficient_conv_bn_eval`` makes the BatchNorm of a frozen target part of its convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

pytest.importorskip('mmpretrain')


def randomize_statistics(runner) -> None:
    generator = torch.Generator().manual_seed(0)
    for layer in runner.model.backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1, generator=generator)
            layer.running_var.uniform_(0.5, 2.0, generator=generator)


def test_the_training_is_the_same(train):
    target = dict(backbone=dict(_delete_=True, type='CIFARResNet', depth=8))
    settings = dict(model=target, load_from=None, hook=dict(require_checkpoint=False))
    found = []
    for folded in (None, ['backbone']):
        runner, spy = train(randomize_statistics, efficient_conv_bn_eval=folded, **settings)
        found.append(spy.outputs)
        names = runner.model.backbone.forward.__code__.co_names
        assert any('efficient_conv_bn_eval' in name for name in names) == bool(folded)
        assert not any(layer.training for layer in runner.model.backbone.modules())
    plain, folded = found
    assert len(plain) == len(folded) == 2
    for before, after in zip(plain, folded):
        torch.testing.assert_close(torch.tensor(after['loss']), torch.tensor(before['loss']), rtol=1e-4, atol=1e-5)


def test_a_layer_inside_is_refused(train):
    """The host's graph calls convolutions and activations, but not the blocks that hold them."""
    target = dict(backbone=dict(_delete_=True, type='CIFARResNet', depth=8))
    hook = dict(require_checkpoint=False, feature_layer='backbone.layer1')
    with pytest.raises(RuntimeError, match="'backbone.layer1' .* did not run: .* efficient_conv_bn_eval"):
        train(model=target, load_from=None, hook=hook, efficient_conv_bn_eval=['backbone'])
