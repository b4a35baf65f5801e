"""Every row of the papers' ablations is the full objective with other arguments."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import Tensor

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.networks import MultiscaleDiscriminator

FULL = Path(__file__).parents[2] / 'configs' / '_base_' / 'defenses' / 'objective_paper.py'
FGSM = dict(type='FGSM', eps=8)
PIXEL, PERCEPTUAL, GAN, MATCHING, FEATURE, CLASSES = (
    'PixelReconstructionLoss',
    'PerceptualLoss',
    'LSGANLoss',
    'FeatureMatchingLoss',
    'FeatureReconstructionLoss',
    'ClassAlignmentLoss',
)
BOTH = ['purified_clean', 'purified_adversarial']
# The traditional constraints of figure 3(a): everything is compared with the clean image, equations 10 and 11.
TRADITIONAL_GAN = {GAN: dict(real='clean', fake=BOTH), MATCHING: dict(guide='clean', fake=BOTH)}
TRADITIONAL = {PIXEL: dict(adv_guide='clean'), PERCEPTUAL: dict(adv_guide='clean'), **TRADITIONAL_GAN}
NO_FEATURES = {'task_weight': 0.0, FEATURE: None, CLASSES: None}
NO_PIXELS = dict.fromkeys((PIXEL, PERCEPTUAL, GAN, MATCHING))
# By the row's name in the papers, what it changes in the full objective; None leaves a term out.
ROWS: dict[str, dict[str, Any]] = {
    # journal, table VIII; ICLR, tables 1, 2, 6, 7 and 12
    'Full': {},
    'L_I': NO_FEATURES,
    'L_F (w/o c)': {**NO_PIXELS, CLASSES: None},
    'L_I+F (w/o c)': {CLASSES: None},
    'L_T': {**NO_FEATURES, **TRADITIONAL},
    'L_T+F (w/o c)': {**TRADITIONAL, CLASSES: None},
    # journal, table IX
    'w/o L_r': {PIXEL: None},
    'w/o L_p': {PERCEPTUAL: None},
    'w/o L_m': {MATCHING: None},
    'w/o L_GANg': {GAN: dict(generator_weight=0.0)},
    'w/o L_Ftask': {'task_weight': 0.0},
    'w/o L_Frec': {FEATURE: None},
    'w/o L_Falign': {CLASSES: dict(align_weight=0.0)},
    'w/o L_Finter': {CLASSES: dict(inter_weight=0.0)},
    'w/o L_Fintra': {CLASSES: dict(intra_weight=0.0)},
    # journal, table X
    'Full-abla-pixel-I': {PIXEL: dict(adv_guide='clean')},
    'Full-abla-pixel-II': TRADITIONAL_GAN,
    'Full-abla-feature-I': {FEATURE: dict(adv_guide='purified_clean')},
    'Full-abla-feature-II': {CLASSES: dict(guide='purified_clean')},
    **{
        f'deleting layer {n}': {MATCHING: dict(layers=[layer for layer in range(5) if layer != n - 1])}
        for n in range(1, 6)
    },
    # journal, table XI
    **{
        f'lambda x {factor}': {
            'task_weight': 50.0 * factor,
            GAN: dict(generator_weight=50.0 * factor),
            **{kind: dict(loss_weight=50.0 * factor) for kind in (PIXEL, PERCEPTUAL, MATCHING, FEATURE)},
            CLASSES: dict(loss_weight=factor),
        }
        for factor in (0.1, 10)
    },
}


def objective_of(row: str) -> dict:
    """The paper's objective with the changes of a row, and a small network in the place of VGG."""
    changes, objective = ROWS[row], Config.fromfile(FULL).to_dict()['objective']
    small = dict(network=dict(type='CIFARResNet', depth=8), layers=('conv1', 'layer1'), weights='random')
    losses = [
        {**loss, **(small if loss['type'] == PERCEPTUAL else {}), **(changes.get(loss['type'], {}) or {})}
        for loss in objective['losses']
        if changes.get(loss['type'], {}) is not None
    ]
    return dict(objective, task_weight=changes.get('task_weight', objective['task_weight']), losses=losses)


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
