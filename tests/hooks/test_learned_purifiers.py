"""Purifiers of other papers: each trains by its default recipe, for every task that it is for, and is then attacked."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS

from mmadvdefense.attacks import build_attack
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.purifiers.trained.export import save_purifier_export
from mmadvdefense.randomness import Randomness
from mmadvdefense.threats.sources import build_source
from mmadvdefense.training import recipes

for _host in ('mmpretrain', 'mmseg', 'mmdet'):
    pytest.importorskip(_host)

DENSE = ('mmpretrain', 'mmseg', 'mmdet')


class Row(NamedTuple):
    """What is made small of a recipe, and the loss terms of its first two iterations."""

    networks: dict
    terms: tuple[set[str], set[str]]
    scopes: tuple[str, ...] = DENSE
    test: dict = {}
    adaptive: str = 'adaptive'


GENERATOR, DISCRIMINATOR = 'loss_gan_generator', 'loss_gan_discriminator'
ROWS = {
    'APEGANPurifier': Row(
        dict(generator=dict(base_channels=4), discriminator=dict(base_channels=4)),
        ({'loss_mse_adv', GENERATOR, DISCRIMINATOR}, {'loss_mse_adv', GENERATOR}),
    ),
    'NRPPurifier': Row(
        dict(generator=dict(channels=4, num_blocks=1, growth=2), discriminator=dict(base_channels=2)),
        ({'loss_mse_adv', 'loss_feature_adv', GENERATOR, DISCRIMINATOR},) * 2,
    ),
    'FPDPurifier': Row(
        dict(generator=dict(widths=(4, 4, 4, 4), blocks=(1, 1, 1, 1), channels=4, head_channels=(4, 4))),
        ({'loss_mse_adv', 'loss_task_gated'},) * 2,
    ),
    'SuperResolutionPurifier': Row(
        dict(generator=dict(channels=4, num_blocks=1)),
        ({'loss_pixel_clean'},) * 2,
        # The digits are grey, and their config does not say in which order.
        test=dict(channel_order='bgr'),
    ),
    'DefenseGANPurifier': Row(
        dict(generator=dict(base_channels=4), discriminator=dict(base_channels=4)),
        ({DISCRIMINATOR},) * 2,
        ('mmpretrain',),
        dict(num_steps=2, num_restarts=2),
        'adaptive-bpda',
    ),
    'PixelDefendPurifier': Row(
        dict(generator=dict(channels=4, num_blocks=1, num_mixtures=2)),
        ({'loss_bits'},) * 2,
        ('mmpretrain',),
        adaptive='adaptive-bpda',
    ),
}
CASES = [(name, scope) for name, row in ROWS.items() for scope in row.scopes]


def recipe_of(name: str, scope: str) -> Config:
    config = Config(dict(default_scope=scope, model={}, data_preprocessor=dict(type=name)))
    return Config.fromfile(recipes.CONFIGS / recipes.default_recipe(config))


def small(name: str, scope: str) -> tuple[dict, dict, dict]:
    """Purifier, hook and optimizer of the default recipe, with narrow networks and short attacks."""
    recipe, row = recipe_of(name, scope), ROWS[name]
    purifier = dict(type=name, **row.test)
    for key, value in recipe.data_preprocessor.to_dict().items():
        purifier[key] = {**value, **row.networks.get(key, {})}
    (hook,) = recipe.to_dict()['custom_hooks']
    if 'attack' in hook and 'steps' in hook['attack']:
        hook['attack']['steps'] = 2
    return purifier, {**hook, 'require_checkpoint': False}, recipe.optim_wrapper.to_dict()


class InitialState(Hook):
    """The weights that the runner has given the model."""

    def before_train(self, runner) -> None:
        self.values = {name: value.clone() for name, value in runner.model.state_dict().items()}


@pytest.fixture
def trained(make_task_runner):
    """A runner after two iterations of the recipe, the spy among its hooks, and the weights that it began with."""

    def train(name: str, scope: str):
        purifier, hook, _ = small(name, scope)
        runner, spy = make_task_runner(scope, [hook], purifier)
        runner._train_loop['max_epochs'] = 2
        before = InitialState()
        runner.register_hook(before)
        runner.train()
        return runner, spy, before

    return train


@pytest.mark.parametrize(('name', 'scope'), CASES)
def test_recipes_are_complete(name, scope):
    recipe = recipe_of(name, scope)
    (hook,) = recipe.to_dict()['custom_hooks']
    assert hook.pop('type') == 'PurifierTrainHook' and hook['losses']
    PurifierTrainHook(**hook)
    assert not any(loss['type'] == 'PerceptualLoss' for loss in hook['losses']), 'nothing to download'
    generator = MODELS.get(name).default_generator
    assert generator.items() <= recipe.data_preprocessor.generator.to_dict().items(), 'that of tests and inference'
    assert recipe.optim_wrapper.optimizer.type == 'Adam' and recipe.auto_scale_lr.base_batch_size


@pytest.mark.parametrize(('name', 'scope'), CASES)
def test_trains_exports_and_is_attacked(name, scope, trained, tmp_path, make_images):
    runner, spy, before = trained(name, scope)
    model, row = runner.model, ROWS[name]
    for logged, expected in zip(spy.outputs, row.terms):
        assert {key for key in logged if 'loss' in key} - {'loss'} == expected
        assert -1e4 < logged['loss'] < 1e4
    before, after = before.values, model.state_dict()
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert all(key.startswith('data_preprocessor.') for key in changed), 'the target stays as it is'
    generator = {
        f'data_preprocessor.generator.{key}' for key, _ in model.data_preprocessor.generator.named_parameters()
    }
    # With five steps of the critic for one of the generator, it is not its turn in the first two iterations.
    assert bool(changed & generator) == (GENERATOR in row.terms[0] or DISCRIMINATOR not in row.terms[0])

    purifier = model.eval().data_preprocessor
    assert int(purifier.num_updates) == 2
    path = tmp_path / 'purifier.pth'
    save_purifier_export(purifier.export(), path)
    settings = dict(type=name, native_type=f'{scope}.{type(purifier.native).__name__}', **row.test)
    loaded = MODELS.build(dict(settings, init_cfg=dict(type='Pretrained', checkpoint=str(path)))).eval()
    images = make_images(2, 3, 8, 8)
    streams = Randomness([1, 2]), Randomness([1, 2])
    with torch.no_grad():
        cleaned, again = (own.clean(images, stream) for own, stream in zip((purifier, loaded), streams))
    assert torch.equal(cleaned, again) and cleaned.shape == images.shape and not torch.equal(cleaned, images)


@pytest.mark.parametrize('name', ROWS)
def test_is_attacked_by_whoever_knows_it(name, trained, make_samples, make_images):
    runner, *_ = trained(name, 'mmpretrain')
    model, images = runner.model.eval(), make_images(2, 3, 8, 8)
    source = build_source(model, ROWS[name].adaptive)
    attack = build_attack(dict(type='PGD', eps=8, step_size=4, steps=2))
    adversarial = attack(source, images, make_samples(2), Randomness([1, 2]))
    assert 1 < (adversarial - images).abs().max() <= 8 + 1e-3 and 0 <= adversarial.min() <= adversarial.max() <= 255


@pytest.mark.parametrize('scope', DENSE)
def test_the_gated_loss_is_the_host_s_own(scope, make_task_runner):
    """Every host returns its losses in another form."""
    purifier, hook, _ = small('FPDPurifier', scope)
    hook.update(task_weight=1.0, losses=[dict(type='GatedTaskLoss', threshold=100.0, loss_weight=0.5)])
    runner, spy = make_task_runner(scope, [hook], purifier)
    runner.train()
    (logged,) = spy.outputs
    own = sum(value for name, value in logged.items() if name.startswith('task_') and 'loss' in name)
    assert own > 0 and logged['loss_task_gated'] == pytest.approx(0.5 * own, rel=1e-5)


class GeneratorWeights(Hook):
    """The generator's parameters after each iteration."""

    def __init__(self) -> None:
        self.values: list[torch.Tensor] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        parameters = runner.model.data_preprocessor.generator.parameters()
        self.values.append(torch.cat([own.detach().flatten() for own in parameters]))


@pytest.mark.parametrize('name', ['DefenseGANPurifier', 'APEGANPurifier'])
def test_whoever_has_no_turn_stays_as_it_was(name, train):
    """Adam moves along its momentum, too, unless there is no gradient at all."""
    purifier, hook, optim_wrapper = small(name, 'mmpretrain')
    weights = GeneratorWeights()
    _, spy = train(
        lambda runner: runner.register_hook(weights),
        hook={'attack': None, **hook},
        images=28,
        data_preprocessor=dict(_delete_=True, num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, **purifier),
        optim_wrapper=dict(_delete_=True, **optim_wrapper),
    )
    moved = [not torch.equal(*pair) for pair in pairwise(weights.values)]
    turns = [GENERATOR in logged for logged in spy.outputs][1:]
    assert moved == turns == [name == 'APEGANPurifier' or iteration == 4 for iteration in range(1, 7)]
    assert [DISCRIMINATOR in logged for logged in spy.outputs] == [
        name == 'DefenseGANPurifier' or iteration % 2 == 0 for iteration in range(7)
    ]
