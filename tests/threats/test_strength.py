"""An attack that is too weak to tell is exposed, on tiny hosts; ours passes where there is no defense."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mmadvdefense.attacks import build_attack
from mmadvdefense.errors import UnsupportedAttackError
from mmadvdefense.purifiers import Purifier
from mmadvdefense.threats import ThreatModel, strength
from mmadvdefense.threats.strength import Frame, StrengthTest, mean_of

OURS = dict(type='PGD', eps=8, step_size=2, steps=20)


class StepFunctionPurifier(Purifier):
    """Rounds to multiples of 8, and does not say that its gradient is zero."""

    def purify(self, images):
        return (images / 8).round() * 8


def rate(model, config: dict, batch, threat: str = 'gray-box', **options) -> float | None:
    test = StrengthTest(model.eval(), build_attack(config), config, ThreatModel(threat), Frame(True), **options)
    rows = zip(batch.images, batch.samples)
    return mean_of([test(image[None], sample, f'{index}') for index, (image, sample) in enumerate(rows)])


@pytest.fixture
def make_host(make_classifier):
    """Classifiers with more features than there are points to tell apart."""
    head = dict(type='LinearClsHead', num_classes=5, in_channels=64)

    def make():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            # The backbone is made before the classifier seeds itself.
            return make_classifier(type(make_classifier().backbone)(64), head=head)

    return make


def defended(make_host):
    model = make_host()
    own = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], num_classes=5)
    native = 'mmpretrain.ClsDataPreprocessor'
    model.data_preprocessor = StepFunctionPurifier(native_type=native, channel_order='rgb', **own)
    return model


@pytest.mark.parametrize(
    ('weakness', 'passes'),
    [({}, True), (dict(steps=1), False), (dict(step_size=0.01), False), (dict(eps=2, step_size=0.5, steps=10), True)],
    ids=['ours', 'one step', 'step size 0.01', 'a smaller ball'],
)
def test_weak_settings(make_host, image_batch, weakness, passes):
    found = rate(make_host(), {**OURS, **weakness}, image_batch)
    assert (found == 1.0) if passes else (found < 0.5)


def test_a_step_function_is_exposed_and_passes_with_the_gradient_of_the_identity(make_host, image_batch):
    model = defended(make_host)
    assert rate(model, OURS, image_batch, 'adaptive') == 0.0
    assert rate(model, OURS, image_batch, 'adaptive-bpda') == 1.0


def test_the_model_is_left_as_it_was(make_host, image_batch):
    model = make_host()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in model.parameters()]
    rate(model, {**OURS, 'steps': 1}, image_batch[0])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert not any(module._forward_hooks for module in model.modules())


def test_the_worst_of_several_attacks_is_what_the_best_of_them_finds(make_host, image_batch):
    weak = {**OURS, 'step_size': 0.01}
    both = dict(type='WorstOf', attacks=[weak, OURS])
    assert rate(make_host(), both, image_batch) == 1.0
    assert rate(make_host(), dict(type='WorstOf', attacks=[weak]), image_batch) < 0.5
    targeted = dict(type='EachTarget', attack=OURS, num_targets=3)
    assert rate(make_host(), targeted, image_batch[0]) == 1.0, 'of two classes there is one target'


def test_an_attack_without_a_ball(make_host, image_batch):
    with pytest.raises(UnsupportedAttackError, match='DeepFool has no ball'):
        rate(make_host(), dict(type='DeepFool'), image_batch)


def test_random_numbers_are_those_of_the_seed(make_host, image_batch):
    weak = {**OURS, 'steps': 2}
    assert rate(make_host(), weak, image_batch, seed=3) == rate(make_host(), weak, image_batch, seed=3)


def test_pixels(image_batch):
    """A segmentor has a head at each of many positions; the share that is found at once counts."""
    pytest.importorskip('mmseg')
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    from mmadvdefense.models import build_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model('configs/target/light_pspnet_camvid.py')
    mask = PixelData(data=torch.zeros(1, 32, 32, dtype=torch.long))
    samples = [SegDataSample(metainfo=dict(img_shape=(32, 32), ori_shape=(32, 32)), gt_sem_seg=mask)]
    images = 255 * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    batch = SimpleNamespace(images=images, samples=samples)
    assert rate(model, {**OURS, 'steps': 10}, batch) >= 0.95
    assert rate(model, {**OURS, 'step_size': 0.01, 'steps': 10}, batch) < 0.5


def test_a_detector_must_lose_its_score_without_a_purifier(make_host, image_batch, monkeypatch):
    model = defended(make_host)
    task = strength.task_of(model)
    task.has_class_scores = False
    monkeypatch.setattr(strength, 'task_of', lambda _: task)
    clean, seen = image_batch.images, []

    def score(model, task, samples, in_frame, crowds, fp16, images):
        seen.append(model.data_preprocessor.enabled)
        index = samples[0].sample_idx
        if index == 5:
            return SimpleNamespace(score=torch.zeros(1))
        # What is left falls with the size of the perturbation, by 0.1 a pixel.
        return SimpleNamespace(score=0.9 - 0.1 * (images - clean[index]).abs().amax((1, 2, 3)))

    monkeypatch.setattr(strength, 'scores_in_test', score)
    config = dict(type='FGSM', eps=4)
    assert rate(model, config, image_batch, 'adaptive', drop=0.4) == 1.0, '0.5 is left of 0.9'
    assert rate(model, config, image_batch, 'adaptive', drop=0.5) == 0.0
    assert not any(seen) and len(seen) == 2 * (5 * 2 + 1), 'an image without anything to lose is not attacked'
    assert model.data_preprocessor.enabled
