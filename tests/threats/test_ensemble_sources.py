"""Transfer from several models at once."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmadvdefense.attacks import AttackSource, EnsembleSource, Randomness, build_attack, derive_seed
from mmadvdefense.hooks import AttackHook
from mmadvdefense.models import build_model
from mmadvdefense.threats import ThreatModel, build_source

pytest.importorskip('mmpretrain')

BIM = dict(type='BIM', eps=8, step_size=3, steps=2)


@pytest.fixture
def sources(source_files, tmp_path) -> list[dict]:
    """Two models of the same data; the second takes images in another range."""
    config, checkpoint = source_files
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    torch.save({'state_dict': {name: value * 1.1 for name, value in state.items()}}, tmp_path / 'second.pth')
    (tmp_path / 'second.py').write_text(
        f'_base_ = "{config}"\ndata_preprocessor = dict(mean=[0.0] * 3, std=[255.0] * 3)\n'
    )
    return [
        dict(config=config, checkpoint=checkpoint),
        dict(config=str(tmp_path / 'second.py'), checkpoint=str(tmp_path / 'second.pth')),
    ]


def load(source: dict) -> torch.nn.Module:
    model = build_model(source['config'])
    model.load_state_dict(torch.load(source['checkpoint'], weights_only=True)['state_dict'])
    return model.eval()


def test_the_mean_scores_of_all_models_are_attacked(make_config, sources, tmp_path):
    seen = []
    runner = Runner.from_cfg(make_config(images=6, batch_size=3))
    hook = AttackHook(BIM, source=sources, cache_dir=tmp_path / 'cache')
    assert hook.threat_model.title == 'transfer from source & second'
    runner.model.data_preprocessor.enabled = False
    runner.register_hook(hook)
    native = runner.model.data_preprocessor.native
    native.register_forward_pre_hook(lambda _, args: seen.extend(args[0]['inputs']))
    runner.test()
    dataset = runner.test_dataloader.dataset
    items = [dataset[index] for index in range(6)]
    clean = torch.stack([item['inputs'].float() for item in items])
    ensemble = EnsembleSource([AttackSource(load(source)) for source in sources])
    by_hand, single = (
        build_attack(BIM)(source, clean, [item['data_samples'] for item in items], Randomness(0))
        for source in (ensemble, ensemble.sources[0])
    )
    adversarial = torch.stack(seen)
    assert ((adversarial - by_hand).abs() < 1e-2).float().mean() > 0.99
    assert ((adversarial - single).abs() < 1e-2).float().mean() < 0.95
    assert len(list((tmp_path / 'cache').rglob('*.*'))) > 0


def test_models_on_their_own_are_the_members(sources, make_config):
    target = Runner.from_cfg(make_config()).model
    source = build_source(target, 'transfer', source=sources)
    assert isinstance(source, EnsembleSource) and source.combine == 'logits'
    for member, config in zip(source.sources, sources):
        expected = load(config).state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in member.model.state_dict().items())
    assert isinstance(build_source(target, 'transfer', source=sources[:1]), EnsembleSource)
    assert not isinstance(build_source(target, 'transfer', source=sources[0]), EnsembleSource)


def test_every_member_must_fit(sources, make_config, tmp_path):
    with pytest.raises(ValueError, match=r"'transfer' needs another model.*or a list of them; source is \[\]"):
        ThreatModel('transfer', source=[])
    with pytest.raises(ValueError, match=r"no checkpoint: .*got {'config': '.*source.py'}"):
        ThreatModel('transfer', source=[sources[0], dict(config=sources[0]['config'])])
    with pytest.raises(ValueError, match=r"must be dict\(.*got 'source.py'"):
        ThreatModel('transfer', source='source.py')
    config = Config.fromfile(sources[0]['config'])
    config.model.head.num_classes = 7
    config.dump(tmp_path / 'seven.py')
    state = load(sources[0]).state_dict()
    state['head.fc.weight'], state['head.fc.bias'] = state['head.fc.weight'][:7], state['head.fc.bias'][:7]
    torch.save({'state_dict': state}, tmp_path / 'seven.pth')
    seven = dict(config=str(tmp_path / 'seven.py'), checkpoint=str(tmp_path / 'seven.pth'))
    with pytest.raises(ValueError, match='the attack source predicts 7 classes, the target 10'):
        build_source(Runner.from_cfg(make_config()).model, 'transfer', source=[sources[0], seven])


def test_seeds_are_those_of_each_image(make_config, sources):
    """Random starts and targets do not depend on how many models there are."""
    target = Runner.from_cfg(make_config()).model
    dataset = Runner.from_cfg(make_config(images=4)).test_dataloader.dataset
    images = torch.stack([dataset[i]['inputs'].float() for i in range(4)])
    samples = [dataset[i]['data_samples'] for i in range(4)]
    randomness = [derive_seed(0, 'test', str(index)) for index in range(4)]
    pgd = build_attack(dict(type='PGD', eps=8, step_size=1e-6, steps=1))
    one, two = (
        pgd(build_source(target, 'transfer', source=source), images, samples, Randomness(randomness))
        for source in (sources[0], sources)
    )
    torch.testing.assert_close(one, two, atol=1e-4, rtol=0)
