"""What must hold for every attack on every host."""

import copy
import random
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import PGD, AttackSource, Randomness, build_attack
from mmadvdefense.attacks.objectives import Objective
from mmadvdefense.attacks.targets import least_likely_target, random_target, top_wrong_targets
from mmadvdefense.pixels import round_to_8bit

ATTACKS = {
    'fgsm': dict(type='FGSM', eps=8),
    'rfgsm': dict(type='RFGSM', eps=8),
    'nfgsm': dict(type='NFGSM', eps=4),
    'bim': dict(type='BIM', eps=8, step_size=2, steps=5),
    'pgd': dict(type='PGD', eps=8, step_size=2, steps=5),
    'pgd_kl': dict(type='PGD', eps=8, step_size=2, steps=5, random_start='normal', objective='kl'),
    'pgd_task_loss': dict(type='PGD', eps=8, step_size=2, steps=5, objective='task_loss'),
    'pgd_normal_start': dict(type='PGD', eps=8, step_size=2, steps=5, random_start='normal', start_std=3.0),
    'pgd_kernel': dict(type='PGD', eps=8, step_size=2, steps=5, kernel_size=3),
    'pgd_random_target': dict(type='PGD', eps=8, step_size=2, steps=5, targeted='random'),
    'pgd_least_likely': dict(type='PGD', eps=8, step_size=2, steps=5, targeted='least_likely'),
    'pgd_task_loss_target': dict(
        type='PGD', eps=8, step_size=2, steps=5, objective='task_loss', targeted='least_likely'
    ),
    'pgd_l2': dict(type='PGD', eps=100, step_size=40, steps=5, norm='l2'),
    'pgd_l2_kernel': dict(type='PGD', eps=100, step_size=40, steps=5, norm='l2', kernel_size=3),
    'ifgsm': dict(type='IFGSM', eps=8, step_size=2, steps=5),
    'decaying_steps': dict(type='BIM', eps=8, step_sizes=[4, 3, 2, 1]),
    'mifgsm': dict(type='MIFGSM', eps=8, step_size=2, steps=5),
    'mifgsm_l2': dict(type='MIFGSM', eps=100, step_size=40, steps=5, norm='l2'),
    'difgsm': dict(type='DIFGSM', eps=8, step_size=2, steps=5),
    'difgsm_enlarged': dict(type='DIFGSM', eps=8, step_size=2, steps=5, diversity=1.0, diversity_scales=(0.8, 1.3)),
    'tifgsm': dict(type='TIFGSM', eps=8, step_size=2, steps=5, kernel_size=3),
    'padam': dict(type='PAdam', eps=8, step_size=2, steps=5),
    'padam_l2': dict(type='PAdam', eps=100, step_size=40, steps=5, norm='l2'),
    'ti_di_mifgsm': dict(
        type='MIFGSM', eps=8, step_size=2, steps=5, diversity=0.7, kernel_size=3, random_start='normal'
    ),
    'pgd_restarts': dict(type='PGD', eps=8, step_size=2, steps=4, restarts=3),
    'difgsm_restarts': dict(type='DIFGSM', eps=8, step_size=2, steps=4, momentum=0.9, restarts=2),
    'bim_top_wrong': dict(type='BIM', eps=8, step_size=2, steps=5, targeted='top_wrong'),
    'pgd_top_3': dict(type='PGD', eps=8, step_size=2, steps=4, targeted='top_wrong', num_targets=3),
    'pgd_top_3_restarts': dict(
        type='PGD', eps=8, step_size=2, steps=4, targeted='top_wrong', num_targets=3, restarts=2
    ),
    'apgd': dict(type='APGD', eps=8, steps=8),
    'apgd_l2': dict(type='APGD', eps=100, steps=8, norm='l2'),
    'apgd_dlr': dict(type='APGD', eps=8, steps=8, objective='dlr'),
    'apgd_dlr_target': dict(type='APGD', eps=8, steps=8, objective='dlr', targeted='top_wrong'),
    'apgd_restarts': dict(type='APGD', eps=8, steps=4, restarts=2),
    'first_success': dict(
        type='FirstSuccess',
        attacks=[dict(type='FGSM', eps=4), dict(type='BIM', eps=8, step_size=2, steps=5)],
    ),
    'strongest_of': dict(
        type='StrongestOf',
        attacks=[dict(type='FGSM', eps=4), dict(type='BIM', eps=8, step_size=2, steps=5, objective='margin')],
        objective='cross_entropy',
    ),
    # No step stays inside this ball.
    'big_steps': dict(type='BIM', eps=4, step_size=50, steps=3),
    'l2_big_steps': dict(type='PGD', eps=30, step_size=500, steps=3, norm='l2'),
}

# Their budget is a share of the image, see patch/test_patch_attacks.py for that and for what they reach.
PATCHES = {
    'adversarial_patch': dict(type='AdversarialPatch', area=0.2, step_size=30, steps=4),
    'adversarial_patch_target': dict(type='AdversarialPatch', area=0.2, step_size=30, steps=4, targeted='random'),
    'dpatch': dict(type='DPatch', area=0.2, step_size=30, steps=4),
    'dpatch_without_noise': dict(type='DPatch', area=0.2, step_size=30, steps=4, random_start=None),
    'dpatch_restarts': dict(type='DPatch', area=0.2, step_size=30, steps=4, place='random', restarts=2),
}


@pytest.fixture(params=[*ATTACKS, *PATCHES])
def config(request):
    return {**ATTACKS, **PATCHES}[request.param]


@pytest.fixture(params=ATTACKS)
def bounded(request):
    return ATTACKS[request.param]


def stacked(images):
    return torch.stack(list(images))


def dlr(clean_logits, logits, labels, targeted):
    """The difference of logits ratio, image by image."""
    values = []
    for clean, scores, label in zip(clean_logits, logits, labels):
        ranked, wrong = scores.sort(descending=True).values, torch.arange(5) != label
        if targeted:
            target = clean.where(wrong, -torch.inf).argmax()
            values.append((scores[target] - scores[label]) / (ranked[0] - (ranked[2] + ranked[3]) / 2))
        else:
            values.append((scores[wrong].max() - scores[label]) / (ranked[0] - ranked[2]))
    return torch.stack(values)


def goal(config, host, images):
    """What the attack should have raised, computed without the package."""
    clean_logits, logits = host.logits(host.images).detach(), host.logits(images)
    if config.get('objective') == 'kl':
        p, q = clean_logits.softmax(1), logits.softmax(1)
        return (p * (p.log() - q.log())).sum(1)
    if config.get('objective') == 'dlr':
        return dlr(clean_logits, logits, host.labels, config.get('targeted'))
    if not config.get('targeted'):
        return F.cross_entropy(logits, host.labels, reduction='none')
    if config['targeted'] == 'top_wrong':
        # Towards whichever of the targets it came closest to.
        targets = top_wrong_targets(clean_logits, host.labels, config.get('num_targets', 1))
        return torch.stack([-F.cross_entropy(logits, target, reduction='none') for target in targets]).amax(0)
    choose = {'random': random_target, 'least_likely': least_likely_target}[config['targeted']]
    target = choose(clean_logits, host.labels, Randomness(list(range(len(images)))))
    return -F.cross_entropy(logits, target, reduction='none')


def test_stays_in_the_budget_and_reaches_its_goal(bounded, host, run_attack):
    eps = build_attack(bounded).eps
    adversarial = run_attack(bounded, host.source, host.images, host.batch.samples)
    assert type(adversarial) is type(host.images)
    delta = stacked(adversarial) - stacked(host.images)
    size = delta.flatten(1).norm(dim=1) if bounded.get('norm') == 'l2' else delta.flatten(1).abs().amax(1)
    assert size.max() <= eps + 1e-3
    # It also uses its budget.
    assert size.min() > 0.3 * eps
    assert stacked(adversarial).min() >= 0 and stacked(adversarial).max() <= 255
    assert not stacked(adversarial).requires_grad and stacked(adversarial).dtype == torch.float32
    if bounded.get('norm') != 'l2':
        assert (round_to_8bit(stacked(adversarial)) - stacked(host.images)).abs().max() <= eps
    before, after = goal(bounded, host, host.images), goal(bounded, host, adversarial)
    assert (after >= before).all()
    # Noise of the same size moves the goal too, but not like this.
    sign = torch.randn(delta.shape, generator=torch.Generator().manual_seed(0)).sign()
    noise = sign * (size.view(-1, 1, 1, 1) / (sign[0].norm() if bounded.get('norm') == 'l2' else 1))
    by_noise = goal(bounded, host, (stacked(host.images) + noise).clamp(0, 255)) - before
    assert (after - before).sum() > 3 * by_noise.sum().abs()
    assert (after - before).sum() > 5e-3


def model_state(model):
    return dict(
        training=[module.training for module in model.modules()],
        tracked=[parameter.requires_grad for parameter in model.parameters()],
        grads=[None if parameter.grad is None else parameter.grad.clone() for parameter in model.parameters()],
        values=[value.clone() for value in model.state_dict(keep_vars=False).values()],
        hooks=[len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    )


def sample_state(samples):
    return [{key: copy.deepcopy(value) for key, value in sample.all_items()} for sample in samples]


def rng_state():
    return torch.get_rng_state(), random.getstate(), np.random.get_state()


def assert_same(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_leaves_everything_as_it_was(config, host, run_attack):
    model = host.model
    # A state that no attack would make by itself: mixed flags, frozen parameters, gradients in the middle of a step.
    model.backbone.stage1.eval()
    model.head.requires_grad_(False)
    model.backbone.stage1[0].weight.grad = torch.ones_like(model.backbone.stage1[0].weight)
    images = copy.deepcopy(host.images)
    before = model_state(model), sample_state(host.batch.samples), rng_state()
    run_attack(config, host.source, host.images, host.batch.samples)
    after = model_state(model), sample_state(host.batch.samples), rng_state()
    for part in before[0]:
        assert_same(after[0][part], before[0][part])
    assert after[1] == before[1]
    assert torch.equal(after[2][0], before[2][0])
    assert after[2][1] == before[2][1]
    assert all(np.array_equal(a, b) for a, b in zip(after[2][2], before[2][2]))
    assert torch.equal(stacked(host.images), stacked(images))


def test_state_is_restored_when_the_attack_fails(host):
    attack = build_attack(ATTACKS['bim'])
    host.model.backbone.stage1.eval()
    before = model_state(host.model)

    class Failing(Objective):
        def __call__(self, images, batch):
            raise RuntimeError('out of memory')

    attack.objective = Failing()
    with pytest.raises(RuntimeError, match='out of memory'):
        attack(host.source, host.images, host.batch.samples, Randomness(0))
    after = model_state(host.model)
    for part in before:
        assert_same(after[part], before[part])


def test_an_image_does_not_depend_on_its_batch(config, host, run_attack):
    whole = stacked(run_attack(config, host.source, host.images, host.batch.samples))
    for index in range(len(whole)):
        images = host.images[index : index + 1]
        alone = stacked(run_attack(config, host.source, images, host.batch.samples[index : index + 1], [index]))
        # A sum in another order may turn the sign of a gradient that is almost zero.
        assert ((alone[0] - whole[index]).abs() < 1e-2).float().mean() >= 0.99


def test_same_seeds_same_images(config, host, run_attack):
    first, second = (stacked(run_attack(config, host.source, host.images, host.batch.samples)) for _ in range(2))
    assert torch.equal(first, second)
    one_seed = [stacked(run_attack(config, host.source, host.images, host.batch.samples, 5)) for _ in range(2)]
    assert torch.equal(*one_seed)


def test_other_seeds_other_images_only_where_the_attack_is_random(config, host, run_attack):
    first = stacked(run_attack(config, host.source, host.images, host.batch.samples))
    other = stacked(run_attack(config, host.source, host.images, host.batch.samples, list(range(50, 56))))
    assert torch.equal(first, other) != build_attack(config).stochastic


@pytest.mark.parametrize('norm', ['linf', 'l2'])
@pytest.mark.parametrize('name', [name for name in ATTACKS if 'l2' not in name])
def test_no_budget_no_change(name, norm, host, run_attack):
    config = copy.deepcopy(ATTACKS[name])
    for part in config.get('attacks', [config]):
        part.update(eps=0, norm=norm)
    adversarial = run_attack(config, host.source, host.images, host.batch.samples)
    assert torch.equal(stacked(adversarial), stacked(host.images))


def test_works_where_gradients_are_off(host, run_attack):
    expected = stacked(run_attack(ATTACKS['bim'], host.source, host.images, host.batch.samples))
    with torch.no_grad():
        adversarial = stacked(run_attack(ATTACKS['bim'], host.source, host.images, host.batch.samples))
    assert torch.equal(adversarial, expected)


# --- lists of images of different sizes ---------------------------------------------------------------------------


@pytest.fixture
def mixed(make_images, make_samples):
    """The smallest is far smaller than the padded batch."""
    sizes = [(12, 10), (5, 14), (4, 4), (9, 9)]
    return [make_images(3, *size, seed=index) for index, size in enumerate(sizes)], make_samples(len(sizes))


@pytest.mark.parametrize('norm, eps, step_size', [('linf', 8, 2), ('l2', 60, 25)])
@pytest.mark.parametrize(
    'options',
    [
        dict(type='BIM'),
        dict(type='PGD'),
        dict(type='PGD', random_start='normal', start_std=2.0),
        dict(type='PGD', kernel_size=5, kernel_sigma=2),
        dict(type='PGD', objective='kl', random_start='normal'),
        dict(type='PGD', targeted='random'),
        dict(type='MIFGSM'),
        dict(type='DIFGSM', diversity=1.0),
        dict(type='DIFGSM', diversity=0.5, diversity_scales=(0.7, 1.4)),
        dict(type='TIFGSM', kernel_size=5),
        dict(type='PAdam'),
        dict(type='MIFGSM', kernel_size=5, diversity=0.5, random_start='uniform'),
        dict(type='PGD', restarts=3),
        dict(type='PGD', targeted='top_wrong', num_targets=3),
        dict(type='APGD'),
    ],
    ids=lambda options: '-'.join(str(value) for value in options.values()),
)
def test_padding_does_not_count(options, norm, eps, step_size, pointwise_classifier, mixed, run_attack):
    source, (images, samples) = AttackSource(pointwise_classifier), mixed
    # APGD has no step size to choose.
    step = {} if options['type'] == 'APGD' else dict(step_size=step_size)
    config = dict(options, eps=eps, steps=4, norm=norm, **step)
    together = run_attack(config, source, images, samples)
    assert [image.shape for image in together] == [image.shape for image in images]
    for index, (adversarial, image) in enumerate(zip(together, images)):
        alone = run_attack(config, source, [image], samples[index : index + 1], [index])[0]
        close = (adversarial - alone).abs() < (1e-3 if norm == 'linf' else 1e-1)
        assert close.float().mean() >= 0.99, index
        delta = adversarial - image
        assert (delta.norm() if norm == 'l2' else delta.abs().max()) <= eps + 1e-3
        assert (delta.norm() if norm == 'l2' else delta.abs().max()) > eps / 2


class Careless(PGD):
    """Somebody's own attack that does not think of padding."""

    def direction(self, gradient, state):
        return torch.ones_like(gradient)


@pytest.mark.parametrize('attack_type', [PGD, Careless])
def test_the_model_sees_black_padding_only(attack_type, pointwise_classifier, mixed):
    """What lies beyond the edge of an image is never attacked."""
    images, samples = mixed
    seen = []
    attack = attack_type(eps=8, step_size=2, steps=2, kernel_size=3)
    project = attack.ball.project

    def record(adversarial, clean):
        projected = project(adversarial, clean)
        seen.append(projected)
        return projected

    attack.ball.project = record
    attack.ball.projection = lambda clean: partial(record, clean=clean)
    attack(AttackSource(pointwise_classifier), images, samples, Randomness(0))
    # A start, two steps, and what the base class does at the end of every attack.
    assert len(seen) == 4
    for batch in seen:
        assert batch.shape[-2:] == (12, 14)
        for padded, image in zip(batch, images):
            height, width = image.shape[-2:]
            assert padded[:, height:].eq(0).all() and padded[:, :, width:].eq(0).all()
