"""How a perturbation grows: layer by layer, by hand."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import Runner

from mmadvdefense.hooks import AttackHook, ErrorAmplificationHook

pytest.importorskip('mmpretrain')

LAYERS = ['backbone.layer1', 'head.fc']


def _by_hand(model, images: torch.Tensor) -> dict[str, torch.Tensor]:
    outputs = {}
    handles = [
        model.get_submodule(layer).register_forward_hook(lambda _, args, out, layer=layer: outputs.update({layer: out}))
        for layer in LAYERS
    ]
    with torch.no_grad():
        model(model.data_preprocessor.native({'inputs': images})['inputs'])
    for handle in handles:
        handle.remove()
    return outputs


@pytest.mark.parametrize('enabled', [False, True])
@pytest.mark.parametrize('attack', [None, dict(type='PGD', eps=8, step_size=4, steps=2)], ids=['clean', 'attacked'])
def test_by_hand(make_config, attack, enabled):
    runner = Runner.from_cfg(make_config(images=6, batch_size=4))
    purifier = runner.model.data_preprocessor
    purifier.num_updates += 1
    purifier.enabled = enabled
    hook = AttackHook(attack)
    seen = []
    runner.register_hook(hook)
    runner.register_hook(ErrorAmplificationHook(LAYERS))
    purifier.native.register_forward_pre_hook(lambda _, args: seen.append(args[0]['inputs'].clone()))
    metrics = runner.test()
    dataset = runner.test_dataloader.dataset
    clean = torch.stack([dataset[index]['inputs'] for index in range(6)]).float()
    model = runner.model.eval()
    # What the model is tested on is the last that its preprocessor is given in each batch.
    sizes = [len(images) for images in seen]
    last = [index for index in range(len(seen)) if index + 1 == len(seen) or sizes[index] == 4 != sizes[index + 1]]
    tested = torch.cat([seen[index] for index in last])
    ours, theirs = _by_hand(model, tested), _by_hand(model, clean)
    for layer in LAYERS:
        change = (ours[layer] - theirs[layer]).flatten(1).abs().sum(1)
        ratio = (change / theirs[layer].flatten(1).abs().sum(1)).mean().item()
        assert metrics[f'amplification/{layer}'] == pytest.approx(ratio, rel=1e-3, abs=1e-6)
        assert (ratio > 1e-3) == (enabled or attack is not None)
    assert purifier.enabled == enabled
    assert not any(module._forward_hooks for module in model.modules()), 'no hook is left behind'


def test_layers_that_the_model_does_not_have(make_config):
    runner = Runner.from_cfg(make_config(images=4))
    runner.model.data_preprocessor.num_updates += 1
    runner.register_hook(ErrorAmplificationHook(['backbone.layer7']))
    with pytest.raises(ValueError, match="no layer 'backbone.layer7'; did you mean backbone.layer"):
        runner.test()


def test_layers_without_a_place_for_every_image(make_config):
    runner = Runner.from_cfg(make_config(images=4))
    runner.model.data_preprocessor.num_updates += 1
    hook = ErrorAmplificationHook(['head.fc'])
    runner.register_hook(hook)
    runner.model.head.fc.register_forward_hook(lambda module, args, output: output[:1].expand(4, -1))
    original = hook._take
    hook._take = lambda: {layer: value[:2] for layer, value in original().items()}
    with pytest.raises(ValueError, match=r"layer 'head.fc' gives \(2, 10\) for 4 clean images"):
        runner.test()
