"""Patches on a segmentor and a detector: masks and boxes keep their truth."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmadvdefense import compat
from mmadvdefense.attacks import AttackBatch, AttackSource, CleanReference, Randomness, build_attack
from mmadvdefense.attacks.objectives import build_objective
from mmadvdefense.attacks.patch.fitting import UniversalPatchFit
from mmadvdefense.models import build_model
from mmadvdefense.pixels import stack
from mmadvdefense.testing.synthetic import SyntheticImages

CONFIGS = Path(__file__).parents[3] / 'configs' / 'target'
SIZE = (64, 96)
TASKS = {'mmseg': 'scenes_seg_target.py', 'mmdet': 'scenes_det_target.py'}
OBJECTIVES = [('mmseg', 'cross_entropy'), ('mmseg', 'task_loss'), ('mmdet', 'cls+loc'), ('mmdet', 'task_loss')]


@pytest.fixture(scope='module')
def sources():
    """With weights that are large enough for a step to show in the loss."""
    found = {}
    for scope, name in TASKS.items():
        pytest.importorskip(scope)
        compat.apply_for_scope(scope)
        config = Config.fromfile(CONFIGS / name)
        if scope == 'mmseg':
            config.model.data_preprocessor.size = SIZE
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = build_model(config)
            for module in model.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight)
        data = SyntheticImages(scope, SIZE, num_classes=5)
        found[scope] = (
            AttackSource(model),
            [data[i]['inputs'].float() for i in range(2)],
            [data[i]['data_samples'] for i in range(2)],
        )
    return found


def losses(objective, source, images, samples):
    batch = AttackBatch(
        source, source.prepare_samples(images, samples), CleanReference(source, images), Randomness(0), *stack(images)
    )
    with torch.no_grad(), source.undisturbed():
        return build_objective(objective).values(images, batch)


@pytest.mark.parametrize('name', ['AdversarialPatch', 'DPatch'])
@pytest.mark.parametrize('scope, objective', OBJECTIVES)
def test_the_loss_of_each_image_grows(name, scope, objective, sources):
    source, images, samples = sources[scope]
    truth = [repr(sample) for sample in samples]
    config = dict(type=name, area=0.05, steps=4, step_size=40, objective=objective)
    adversarial = build_attack(config)(source, images, samples, Randomness([0, 1]))
    for image, own in zip(adversarial, images):
        # 17 x 17 of 64 x 96 pixels
        assert 270 < (image != own).any(0).sum() <= 289
    assert (losses(objective, source, adversarial, samples) > losses(objective, source, images, samples)).all()
    assert [repr(sample) for sample in samples] == truth


def test_a_detector_has_no_class_scores(sources):
    source, images, samples = sources['mmdet']
    with pytest.raises(ValueError, match=r'DPatch: a detector has no one set of class scores; use an objective on its'):
        build_attack(dict(type='DPatch', steps=1))(source, images, samples, Randomness([0, 1]))
    with pytest.raises(ValueError, match=r'UniversalPatchFit: a detector has no one set of class scores'):
        UniversalPatchFit().run(source, images, samples, Randomness(0))


@pytest.mark.parametrize('scope, objective', OBJECTIVES[1:3])
def test_one_patch_for_all(scope, objective, sources):
    source, images, samples = sources[scope]
    fit = UniversalPatchFit(area=0.05, step_size=40, objective=objective)
    for number in range(4):
        fit.run(source, images, samples, Randomness(number))
    assert fit.found.shape == (3, 17, 17) and fit.found.min() >= 0 and fit.found.max() <= 255
