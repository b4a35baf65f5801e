"""Every row of the papers' ablations is the full objective with other arguments."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from fixtures.runners import Spy
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.networks import MultiscaleDiscriminator
from mmadvdefense.training import recipes
from mmadvdefense.training.ablations import ABLATIONS, apply_ablation

CONFIGS = Path(__file__).parents[2] / 'configs'
FULL = CONFIGS / '_base_' / 'defenses' / 'objective_paper.py'
FGSM = dict(type='FGSM', eps=8)
BOTH = ['purified_clean', 'purified_adversarial']
ROWS = {ablation.title: name for name, ablation in ABLATIONS.items()}


def objective_of(row: str) -> dict:
    """The paper's objective with the changes of a row, and a small network in the place of VGG."""
    small = dict(network=dict(type='CIFARResNet', depth=8), layers=('conv1', 'layer1'), weights='random')
    objective = Config.fromfile(FULL).to_dict()['objective']
    losses = [{**loss, **(small if loss['type'] == 'PerceptualLoss' else {})} for loss in objective['losses']]
    hook = dict(type='PurifierTrainHook', **{**objective, 'losses': losses})
    config = Config(dict(default_scope='mmpretrain', model={}, custom_hooks=[hook], ablation=ROWS[row]))
    apply_ablation(config)
    assert 'ablation' not in config, 'a config that is trained again would be changed twice'
    return {key: value for key, value in config.custom_hooks[0].to_dict().items() if key != 'type'}


class Batch:
    """A batch of random images in front of a real discriminator, with the images themselves as features."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        names = ('clean', 'adversarial', 'purified_clean', 'purified_adversarial')
        self.images = dict(zip(names, torch.rand(4, 6, 3, 32, 32, generator=generator) * 2 - 1))
        self.labels = torch.tensor([0, 0, 1, 1, 2, 2])
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.discriminator = MultiscaleDiscriminator(base_channels=4)

    def pixels(self, name: str) -> Tensor:
        return self.images[name]

    def features(self, name: str) -> Tensor:
        return self.images[name].flatten(1)[:, :20]

    class_features = features

    def discriminate(self, name: str) -> list[list[Tensor]]:
        return self.discriminator(self.images[name])

    discriminate_detached = discriminate


@cache
def values(row: str) -> dict[str, float]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hook = PurifierTrainHook(FGSM, **objective_of(row))
        batch = Batch()
        values = {'task': hook.task_weight}
        for loss in hook.losses:
            if hasattr(loss, 'channel_order'):
                loss.channel_order = 'rgb'
            values.update({name: float(value) for name, value in loss.terms(batch).items()})
    return values


LEFT_OUT = {
    'L_I': {'loss_feature_clean', 'loss_feature_adv', 'loss_align', 'loss_inter', 'loss_intra'},
    'L_F (w/o c)': {
        *('loss_pixel_clean', 'loss_pixel_adv', 'loss_perceptual_clean', 'loss_perceptual_adv'),
        *('loss_gan_generator', 'loss_gan_discriminator', 'loss_feature_matching'),
        *('loss_align', 'loss_inter', 'loss_intra'),
    },
    'L_I+F (w/o c)': {'loss_align', 'loss_inter', 'loss_intra'},
    'w/o L_r': {'loss_pixel_clean', 'loss_pixel_adv'},
    'w/o L_p': {'loss_perceptual_clean', 'loss_perceptual_adv'},
    'w/o L_m': {'loss_feature_matching'},
    'w/o L_GANg': {'loss_gan_generator'},
    'w/o L_Frec': {'loss_feature_clean', 'loss_feature_adv'},
    'w/o L_Falign': {'loss_align'},
    'w/o L_Finter': {'loss_inter'},
    'w/o L_Fintra': {'loss_intra'},
}
LEFT_OUT.update({'L_T': LEFT_OUT['L_I'], 'L_T+F (w/o c)': LEFT_OUT['L_I+F (w/o c)']})
CHANGED = {
    'Full-abla-pixel-I': {'loss_pixel_adv'},
    'Full-abla-pixel-II': {'loss_gan_generator', 'loss_gan_discriminator', 'loss_feature_matching'},
    'Full-abla-feature-I': {'loss_feature_adv'},
    'Full-abla-feature-II': {'loss_align'},
    **{f'deleting layer {n}': {'loss_feature_matching'} for n in range(1, 6)},
}
CHANGED['L_T'] = CHANGED['Full-abla-pixel-I'] | CHANGED['Full-abla-pixel-II'] | {'loss_perceptual_adv'}
CHANGED['L_T+F (w/o c)'] = CHANGED['L_T']


@pytest.mark.parametrize('row', ROWS)
def test_every_row_of_the_ablations_is_a_config(row):
    """What a row leaves out is missing, what it changes has another value, and everything else has the same."""
    full, ours = values('Full'), values(row)
    assert ours.keys() == full.keys() - LEFT_OUT.get(row, set())
    without_task = row in ('L_I', 'L_T', 'w/o L_Ftask')
    factor = float(row.rpartition(' ')[2]) if row.startswith('lambda') else 1.0
    assert ours['task'] == pytest.approx(0 if without_task else 50 * factor)
    for name in ours.keys() - {'task', 'loss_gan_discriminator'}:
        changed = name in CHANGED.get(row, set())
        assert (ours[name] == pytest.approx(full[name] * factor, rel=1e-5)) != changed, name
    if 'loss_gan_discriminator' in ours:
        changed = 'loss_gan_discriminator' in CHANGED.get(row, set())
        assert (ours['loss_gan_discriminator'] == pytest.approx(full['loss_gan_discriminator'])) != changed


def test_traditional_terms_by_hand():
    """Equations 10 and 11, and the traditional reconstruction, on the outputs themselves."""
    batch, ours = Batch(), values('L_T')
    real, clean, adversarial = (batch.discriminate(name) for name in ('clean', *BOTH))

    def squared(outputs, target):
        return sum(float(((layers[-1] - target) ** 2).mean()) for layers in outputs)

    def distance(a, b):
        return sum(float((x - y).abs().mean()) / 2 for xs, ys in zip(a, b) for x, y in zip(xs, ys))

    assert ours['loss_gan_generator'] == pytest.approx(50 * (squared(clean, 1) + squared(adversarial, 1)), rel=1e-5)
    expected = (squared(real, 1) + squared(clean, 0) + squared(adversarial, 0)) / 2
    assert ours['loss_gan_discriminator'] == pytest.approx(expected, rel=1e-5)
    expected = 50 * (distance(adversarial, real) + distance(clean, real))
    assert ours['loss_feature_matching'] == pytest.approx(expected, rel=1e-5)
    expected = 50 * float((batch.images['purified_adversarial'] - batch.images['clean']).abs().mean())
    assert ours['loss_pixel_adv'] == pytest.approx(expected, rel=1e-5)


def test_deleted_layers_add_up():
    """Each layer is missing from one of the five rows, so they hold four times the whole."""
    rows = [values(f'deleting layer {n}')['loss_feature_matching'] for n in range(1, 6)]
    assert sum(rows) == pytest.approx(4 * values('Full')['loss_feature_matching'], rel=1e-5)
    assert len(set(rows)) == 5


# Training ------------------------------------------------------------------------------------------------------------

PAPER = 'align/align_resnet50_1xb64-100e_cifar10'


@pytest.mark.parametrize('name', ABLATIONS)
def test_every_ablation_trains(name, load, make_config, quick_runners):
    """A complete config of the paper, with the ablation in one line, on tiny networks and two batches of digits."""
    config = load(PAPER)
    config.ablation = name
    recipes.complete_training(config)
    apply_ablation(config)
    (hook,) = config.custom_hooks
    hook = dict(hook.to_dict(), attack=FGSM)
    for loss in hook['losses']:
        if loss['type'] == 'PerceptualLoss':
            loss.update(network=dict(type='CIFARResNet', depth=8), layers=('conv1', 'layer1'), channel_order='bgr')
    discriminator = dict(type='MultiscaleDiscriminator', base_channels=2, num_layers=3, num_scales=1)
    tiny = make_config(hook=hook, images=4, batch_size=2, data_preprocessor=dict(discriminator=discriminator))
    # Nothing is validated.
    tiny.update(dict.fromkeys(('val_dataloader', 'val_evaluator', 'val_cfg')))
    runner = Runner.from_cfg(tiny)
    spy = Spy()
    runner.register_hook(spy)
    runner.train()
    assert len(spy.outputs) == 2
    names = values(ABLATIONS[name].title).keys() - {'task'}
    trained = {term for term in spy.outputs[0] if term.startswith('loss_')}
    assert trained == names and all(value == value for value in spy.outputs[1].values())
    assert ('task_loss' in spy.outputs[0]) == (values(ABLATIONS[name].title)['task'] > 0)


def test_a_layer_that_is_not_compared_and_other_mistakes(load):
    small = 'align/align_resnet20_paper-objective_1xb64-8e_cifar10'
    cases = {
        'no_clas': "unknown ablation 'no_clas'; did you mean no_class",
        'no_perceptual': r"'no_perceptual' \(w/o L_p\) changes nothing in an objective with PixelRec.*task_weight=50",
        'no_layer_5': 'leaves out layer 5 of the discriminator, but FeatureMatchingLoss compares layers 1, 2, 3, 4',
    }
    for name, message in cases.items():
        config = load(small)
        config.ablation = name
        with pytest.raises(ValueError, match=message):
            apply_ablation(config)
    config = load(small)
    config.ablation = 'no_layer_2'
    apply_ablation(config)
    assert [list(loss.layers) for loss in config.custom_hooks[0].losses if 'layers' in loss] == [[0, 2, 3]]
    bare = load('target/resnet20_cifar10')
    bare.ablation = 'no_class'
    with pytest.raises(ValueError, match='changes the objective of a PurifierTrainHook, and the config has none'):
        apply_ablation(bare)


def test_the_one_line_can_be_ablated(load):
    """What the default recipe adds is changed as well."""
    config = load('align/align_light-ssd_1xb4-8e_bccd')
    config.ablation = 'no_class'
    recipes.complete_training(config)
    apply_ablation(config)
    kinds = [loss.type for hook in config.custom_hooks for loss in hook.losses]
    assert len(kinds) == 4 and 'ClassAlignmentLoss' not in kinds
