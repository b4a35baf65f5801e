"""Another layout, compiled networks, the same training."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from mmadvdefense.hooks import CompileHook

pytest.importorskip('mmpretrain')


def _trained(make_config, *hooks: dict) -> Runner:
    # Adam would make a full step of the rounding noise in a gradient that is zero.
    optimizer = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.01))
    config = make_config(**{'train_cfg.max_epochs': 1, 'optim_wrapper': optimizer})
    config.custom_hooks.extend(hooks)
    runner = Runner.from_cfg(config)
    runner.train()
    return runner


def test_target_and_purifier_train_as_without(make_config, tmp_path):
    plain, changed = _trained(make_config), _trained(make_config, dict(type='ChannelsLastHook'))
    for part in (changed.model.backbone, changed.model.data_preprocessor.generator):
        weights = [module.weight for module in part.modules() if isinstance(module, nn.Conv2d)]
        assert weights and all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    expected, found = plain.model.state_dict(), changed.model.state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_compiled_networks_train_as_without(make_config):
    # The compiler itself takes a minute; what it is given and how, it is given by any backend.
    calls = []

    def compiler(graph, inputs):
        calls.append(sum(node.target is torch.conv2d for node in graph.graph.nodes))
        return graph.forward

    plain = _trained(make_config)
    changed = _trained(make_config, dict(type='CompileHook', backend=compiler))
    assert calls and all(calls)
    for part in (changed.model.backbone, changed.model.data_preprocessor.generator):
        assert 'forward' not in vars(part)
    expected, found = plain.model.state_dict(), changed.model.state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    ('modules', 'message'),
    [
        ('backbone', "must be a list of names, got 'backbone'"),
        (['backbone', 'backbone'], 'backbone would be compiled twice'),
        (['backbone', 'backbone.layer1'], 'backbone.layer1 would be compiled twice'),
    ],
)
def test_bad_modules(modules, message):
    with pytest.raises(ValueError, match=message):
        CompileHook(modules)


def test_an_unknown_module_is_named_before_training(make_config):
    with pytest.raises(ValueError, match="no layer 'backbones'; .*backbone"):
        _trained(make_config, dict(type='CompileHook', modules=['backbones']))
