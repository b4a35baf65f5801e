"""What must hold for every attack on pixels."""

import copy
import math

import pytest
import torch

from mmadvdefense.attacks import AttackSource, EnsembleSource, Randomness, build_attack
from mmadvdefense.attacks.dense.objectives import check_pixel_classes
from mmadvdefense.attacks.objectives import build_objective
from mmadvdefense.pixels import round_to_8bit
from mmadvdefense.tasks import DetectionTask

STEPS = dict(eps=8, step_size=2, steps=6)
ATTACKS = {
    'segpgd': dict(type='SegPGD', **STEPS),
    'segpgd_restarts': dict(type='SegPGD', restarts=2, **STEPS),
    'cospgd': dict(type='CosPGD', **STEPS),
    'cospgd_mi': dict(type='CosPGD', momentum=1.0, random_start=None, **STEPS),
    'pgd_masked': dict(type='PGD', objective='masked_cross_entropy', **STEPS),
    'bim_jensen_shannon': dict(type='BIM', objective='jensen_shannon', **STEPS),
    'padam_ce': dict(type='PAdam', **STEPS),
    'padam_cos': dict(type='PAdam', objective='cosine', **STEPS),
    'padam_cos_target': dict(type='PAdam', objective='cosine', targeted='top_wrong', **STEPS),
    'sea': dict(type='SEA', eps=8, steps=6),
    'sea_target': dict(type='SEA', eps=8, steps=6, losses=['masked_spherical', 'segpgd'], targeted='top_wrong'),
    'segpgd_target': dict(type='SegPGD', targeted='top_wrong', **STEPS),
    'cospgd_target': dict(type='CosPGD', targeted='top_wrong', **STEPS),
}


# 4 x 4 of 16 x 20 pixels.
PATCHES = {
    'adversarial_patch': dict(type='AdversarialPatch', area=0.05, step_size=30, steps=6),
    'dpatch': dict(type='DPatch', area=0.05, step_size=30, steps=6),
    'dpatch_segpgd': dict(type='DPatch', area=0.05, step_size=30, steps=6, place='center', objective='segpgd'),
    'dpatch_target': dict(type='DPatch', area=0.05, step_size=30, steps=6, targeted='top_wrong'),
}


@pytest.fixture(params=[*ATTACKS, *PATCHES])
def config(request):
    return {**ATTACKS, **PATCHES}[request.param]


@pytest.fixture(params=ATTACKS)
def bounded(request):
    return ATTACKS[request.param]


@pytest.fixture(params=PATCHES)
def patch(request):
    return PATCHES[request.param]


def fooled(config, segmentor, images):
    """The share of pixels that are wrong, or at the target."""
    if not config.get('targeted'):
        return 1 - segmentor.accuracy(images)
    clean, known = segmentor.logits(segmentor.images), segmentor.masks != 255
    target = clean.scatter(1, segmentor.masks.where(known, 0)[:, None], -torch.inf).argmax(1)
    hit = (segmentor.logits(images).argmax(1) == target) & known
    return hit.flatten(1).sum(1) / known.flatten(1).sum(1)


def test_stays_in_the_budget_and_fools_pixels(bounded, segmentor, run_attack):
    config, images = bounded, segmentor.images
    adversarial = run_attack(config, segmentor.source, images, segmentor.samples)
    size = (adversarial - images).flatten(1).abs().amax(1)
    assert size.max() <= 8 + 1e-3 and size.min() > 2.4
    assert adversarial.min() >= 0 and adversarial.max() <= 255
    assert (round_to_8bit(adversarial) - images).abs().max() <= 8
    before, after = fooled(config, segmentor, images), fooled(config, segmentor, adversarial)
    assert (before == 0).all() and (after > 0).all()
    sign = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).sign()
    assert after.sum() > 2 * fooled(config, segmentor, (images + 8 * sign).clamp(0, 255)).sum()


def test_a_patch_changes_five_per_cent_and_fools_pixels(patch, segmentor, run_attack):
    """More of them than noise in its place does."""
    images = segmentor.images
    adversarial = run_attack(patch, segmentor.source, images, segmentor.samples)
    for made in (adversarial, round_to_8bit(adversarial)):
        changed = (made != images).any(1)
        assert (changed.flatten(1).float().mean(1) <= 0.05).all() and changed.flatten(1).sum(1).min() >= 12
        for own in changed:
            rows, columns = own.nonzero().T
            assert rows.max() - rows.min() < 4 and columns.max() - columns.min() < 4
    assert adversarial.min() >= 0 and adversarial.max() <= 255
    noise = 255 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    by_noise = noise.where((adversarial != images).any(1, keepdim=True), images)
    after = fooled(patch, segmentor, adversarial)
    assert (after > 0).all() and after.sum() > fooled(patch, segmentor, by_noise).sum()


def test_leaves_everything_as_it_was(config, segmentor, run_attack):
    model = segmentor.model
    model.backbone.layers[3].requires_grad_(False)
    model.backbone.layers[1].eval()

    def state():
        flags = [module.training for module in model.modules()]
        tracked = [parameter.requires_grad for parameter in model.parameters()]
        return flags, tracked, [sample.gt_sem_seg.data.tolist() for sample in segmentor.samples]

    before, values, images = state(), copy.deepcopy(model.state_dict()), segmentor.images.clone()
    run_attack(config, segmentor.source, segmentor.images, segmentor.samples)
    assert state() == before and torch.equal(segmentor.images, images)
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())


def test_an_image_does_not_depend_on_its_batch(config, segmentor, run_attack):
    whole = run_attack(config, segmentor.source, segmentor.images, segmentor.samples)
    again = run_attack(config, segmentor.source, segmentor.images, segmentor.samples)
    assert torch.equal(whole, again)
    alone = run_attack(config, segmentor.source, segmentor.images[1:2], segmentor.samples[1:2], [1])
    # A sum in another order may turn the sign of a gradient that is almost zero.
    assert ((alone[0] - whole[1]).abs() < 1e-2).float().mean() >= 0.99


def test_void_is_not_attacked(bounded, segmentor, run_attack):
    """Two convolutions see two pixels far: what is farther from labelled pixels has no gradient."""
    segmentor.samples[0].gt_sem_seg.data[..., :8, :] = 255
    attack = {**bounded, 'random_start': None, 'restarts': 1} if 'step_size' in bounded else bounded
    adversarial = run_attack(attack, segmentor.source, segmentor.images, segmentor.samples)
    assert torch.equal(adversarial[0, :, :6], segmentor.images[0, :, :6])
    assert not torch.equal(adversarial[0, :, 8:], segmentor.images[0, :, 8:])


@pytest.mark.parametrize('combine', ['logits', 'losses'])
def test_equal_segmentors_are_one_segmentor(bounded, combine, segmentor, run_attack):
    both = EnsembleSource([AttackSource(segmentor.model)] * 2, combine)
    one = run_attack(bounded, segmentor.source, segmentor.images, segmentor.samples)
    two = run_attack(bounded, both, segmentor.images, segmentor.samples)
    assert ((one - two).abs() < 1e-2).float().mean() > 0.99


@pytest.mark.parametrize('name', ['segpgd', 'cospgd', 'padam_cos', 'cospgd_target', 'sea'])
@pytest.mark.parametrize('threshold', [0.5, 0.3])
def test_one_channel(name, threshold, make_segmentor, make_scenes, run_attack):
    binary = dict(type='CrossEntropyLoss', use_sigmoid=True)
    model = make_segmentor(2, seed=1, out_channels=1, threshold=threshold, loss_decode=binary).eval()
    images, _ = make_scenes(model)
    with torch.no_grad():
        channel = model.decode_head(model.backbone((images - 127.5) / 60))
        model.decode_head.conv_seg.bias -= channel.median() - math.log(threshold / (1 - threshold))
    images, samples = make_scenes(model)
    adversarial = run_attack(ATTACKS[name], AttackSource(model), images, samples)
    with torch.no_grad():
        predicted = model.decode_head(model.backbone((adversarial - 127.5) / 60))[:, 0].sigmoid() > threshold
    for said, sample in zip(predicted, samples):
        mask = sample.gt_sem_seg.data[0]
        assert (said.long() != mask)[mask != 255].double().mean() > 0.02


def test_segpgd_begins_with_right_pixels_and_ends_with_all(segmentor, monkeypatch):
    attack = build_attack(dict(type='SegPGD', restarts=2, eps=8, step_size=2, steps=4))
    noted = []
    objective = type(attack.objective)
    value = objective.pixels
    monkeypatch.setattr(objective, 'pixels', lambda *args: noted.append(args[-1].progress) or value(*args))
    attack(segmentor.source, segmentor.images, segmentor.samples, Randomness([0, 1, 2]))
    assert noted == [0, 0.25, 0.5, 0.75] * 2


def test_auto_pgd_counts_its_steps_too(segmentor, monkeypatch):
    attack = build_attack(dict(type='APGD', objective='segpgd', eps=8, steps=4))
    noted = []
    objective = type(attack.objective)
    value = objective.pixels
    monkeypatch.setattr(objective, 'pixels', lambda *args: noted.append(args[-1].progress) or value(*args))
    attack(segmentor.source, segmentor.images, segmentor.samples, Randomness([0, 1, 2]))
    assert noted == [0, 0.25, 0.5, 0.75, 1]


def test_auto_pgd_returns_the_iterate_with_the_fewest_right_pixels(segmentor, monkeypatch):
    from mmadvdefense.attacks import AdaptiveAscent

    visited, evaluate = [], AdaptiveAscent._evaluate
    monkeypatch.setattr(AdaptiveAscent, '_evaluate', lambda *args: visited.append(args[1]) or evaluate(*args))
    attack = build_attack(dict(type='APGD', objective='masked_cross_entropy', eps=8, steps=4))
    kept = attack(segmentor.source, segmentor.images, segmentor.samples, Randomness([0, 1, 2]))
    shares = torch.stack([segmentor.accuracy(images) for images in visited])
    torch.testing.assert_close(segmentor.accuracy(kept), shares.amin(0))


def test_restarts_keep_the_image_with_more_wrong_pixels(segmentor, monkeypatch):
    """A loss of right pixels alone falls as they become fewer."""
    from mmadvdefense.attacks import GradientAttack

    runs, ascend = [], GradientAttack._ascend
    monkeypatch.setattr(GradientAttack, '_ascend', lambda *args: runs.append(ascend(*args)) or runs[-1])
    attack = build_attack(dict(type='PGD', objective='masked_cross_entropy', restarts=3, eps=8, step_size=4, steps=3))
    kept = attack(segmentor.source, segmentor.images, segmentor.samples, Randomness([0, 1, 2]))
    shares = torch.stack([segmentor.accuracy(images) for images in runs])
    torch.testing.assert_close(segmentor.accuracy(kept), shares.amin(0))
    assert len(runs) == 3


@pytest.mark.parametrize('name', ['segpgd', 'cospgd', 'padam_cos', 'pgd_masked', 'sea'])
def test_a_classifier_is_refused(name, tiny_classifier, make_images, make_samples):
    attack, kind = build_attack(ATTACKS[name]), ATTACKS[name]['type']
    message = f'{kind} is for segmentors: a classifier predicts no class for every pixel; use PGD'
    with pytest.raises(ValueError, match=message):
        attack(AttackSource(tiny_classifier), make_images(1, 3, 8, 8), make_samples(1), Randomness(0))


def test_a_detector_is_refused():
    detector = DetectionTask.__new__(DetectionTask)
    message = "SEA is for segmentors: a detector predicts no class for every pixel; .*objective='cls', 'loc'"
    with pytest.raises(ValueError, match=message):
        check_pixel_classes('SEA', detector)


def test_a_class_that_does_not_exist_is_no_target(segmentor):
    attack = build_attack(dict(type='CosPGD', targeted='top_wrong_4', **STEPS))
    with pytest.raises(ValueError, match='top_wrong_4: the model has 3 wrong classes'):
        attack(segmentor.source, segmentor.images, segmentor.samples, Randomness(0))
    with pytest.raises(ValueError, match="CosPGD: unknown choice of target 'road'"):
        build_attack(dict(type='CosPGD', targeted='road', **STEPS))


def test_objectives_have_short_names():
    assert build_objective('balanced_masked_cross_entropy').balanced
    with pytest.raises(ValueError, match='unknown attack objective .*segpgd, cospgd, cosine, masked_cross_entropy'):
        build_objective('seg_pgd')
