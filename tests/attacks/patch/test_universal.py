"""What is the same for all images: fitting it, its file, and applying it."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from mmadvdefense.attacks import AttackSource, Randomness, UniversalPatch, UniversalPerturbation, build_attack
from mmadvdefense.attacks.patch.fitting import UniversalPatchFit, UniversalPerturbationFit, fit_universal
from mmadvdefense.attacks.patch.universal_file import Universal
from mmadvdefense.saving import save_tensors


def save(path, values, **settings):
    Universal(values, **settings).save(path)
    return str(path)


@pytest.fixture
def perturbation(tmp_path):
    """Of 12 x 10 pixels, up to 8."""
    values = torch.linspace(-8, 8, 360).view(3, 12, 10)
    return save(tmp_path / 'uap.pth', values, eps=8.0, channel_order='rgb'), values


@pytest.fixture
def patch(tmp_path):
    """5 x 5 pixels for a quarter of an image."""
    values = torch.linspace(0, 255, 75).view(3, 5, 5)
    return save(tmp_path / 'patch.pth', values, area=0.25, channel_order='rgb'), values


# --- files ---------------------------------------------------------------------------------------------------------


def test_what_a_file_holds_is_read_back(tmp_path):
    whole = Universal(torch.rand(3, 4, 5), eps=2.5, channel_order='bgr', made={'seed': 3, 'config': 'a.py'})
    whole.save(tmp_path / 'new' / 'uap.pth')
    read = Universal.load(tmp_path / 'new' / 'uap.pth', patch=False)
    assert torch.equal(read.values, whole.values)
    assert {**vars(read), 'values': 0} == {**vars(whole), 'values': 0}
    content = torch.load(tmp_path / 'new' / 'uap.pth', weights_only=True)
    assert content['format'] == 'mmadvdefense universal perturbation' and content['version'] == 1


def test_files_of_another_kind(perturbation, patch, tmp_path):
    with pytest.raises(ValueError, match=r"uap\.pth is not a universal patch: use type='UniversalPerturbation' for it"):
        UniversalPatch(perturbation[0])
    with pytest.raises(ValueError, match=r"patch\.pth is not a universal perturbation: use type='UniversalPatch'"):
        UniversalPerturbation(patch[0])
    save_tensors(tmp_path / 'other.pth', 'mmadvdefense purifier', {})
    with pytest.raises(ValueError, match=r'other\.pth is not a universal patch; create one with tools/fit_universal'):
        UniversalPatch(tmp_path / 'other.pth')
    with pytest.raises(FileNotFoundError, match=r'universal perturbation not found: .*none\.pth'):
        build_attack(dict(type='UniversalPerturbation', file=str(tmp_path / 'none.pth')))


def test_another_budget_is_refused(perturbation, patch):
    assert UniversalPerturbation(perturbation[0], eps=8).eps == 8
    assert UniversalPatch(patch[0], area=0.25).placement.area == 0.25
    with pytest.raises(ValueError, match=r'UniversalPerturbation: .*uap\.pth was fitted with eps=8, not 4; leave eps'):
        UniversalPerturbation(perturbation[0], eps=4)
    with pytest.raises(ValueError, match=r'UniversalPatch: .*patch\.pth was fitted with area=0\.25, not 0\.1'):
        UniversalPatch(patch[0], area=0.1)


# --- applying ------------------------------------------------------------------------------------------------------


def test_one_perturbation_for_all_images(perturbation, host, run_attack):
    file, values = perturbation
    attack = dict(type='UniversalPerturbation', file=file)
    adversarial = run_attack(attack, host.source, host.images, host.batch.samples)
    expected = (torch.stack(list(host.images)) + values).clamp(0, 255)
    torch.testing.assert_close(torch.stack(list(adversarial)), expected)
    built = build_attack(attack)
    assert built.describe() == 'UniversalPerturbation (L-inf 8, uap.pth)'
    assert built.access == 'nothing' and not built.needs_labels and not built.stochastic
    result = built.run(host.source, host.images, host.batch.samples, Randomness(0))
    assert result.queries.tolist() == [0] * 6


def test_images_of_another_size_are_refused(perturbation, tiny_classifier, make_images, make_samples, run_attack):
    attack, source = dict(type='UniversalPerturbation', file=perturbation[0]), AttackSource(tiny_classifier)
    with pytest.raises(ValueError, match=r'uap\.pth is for images of 12x10, and there is one of 12x11; fit one'):
        run_attack(attack, source, [make_images(3, 12, 10), make_images(3, 12, 11)], make_samples(2))


def test_one_patch_for_all_images(patch, host, run_attack):
    file, values = patch
    clean = torch.stack(list(host.images))
    attack = dict(type='UniversalPatch', file=file, place='bottom_right')
    adversarial = torch.stack(list(run_attack(attack, host.source, host.images, host.batch.samples)))
    expected = clean.clone()
    expected[..., 7:, 5:] = values
    torch.testing.assert_close(adversarial, expected, rtol=0, atol=1e-2)
    assert torch.equal(adversarial[..., :7, :], clean[..., :7, :])
    assert build_attack(attack).describe() == 'UniversalPatch (25 % of the image, bottom right, patch.pth)'
    drawn = torch.stack(
        list(run_attack(dict(type='UniversalPatch', file=file), host.source, host.images, host.batch.samples))
    )
    changed = (drawn != clean).any(1)
    assert changed.flatten(1).sum(1).max() <= 25 and len({tuple(c.nonzero()[0].tolist()) for c in changed}) > 2


def test_a_patch_is_resized_to_its_share(patch, tiny_classifier, make_images, make_samples, run_attack):
    images = [make_images(3, 12, 10), make_images(3, 20, 20)]
    attack = dict(type='UniversalPatch', file=patch[0], place='top_left')
    adversarial = run_attack(attack, AttackSource(tiny_classifier), images, make_samples(2))
    values = F.interpolate(patch[1][None], (10, 10), mode='bilinear')[0]
    torch.testing.assert_close(adversarial[1][:, :10, :10], values, rtol=0, atol=1e-2)
    torch.testing.assert_close(adversarial[0][:, :5, :5], patch[1], rtol=0, atol=1e-2)
    assert torch.equal(adversarial[1][:, 10:], images[1][:, 10:])


def test_red_stays_red(perturbation, tiny_classifier, image_batch, run_attack):
    """A file of images in RGB on images that are loaded as BGR."""
    file, values = perturbation
    attack = dict(type='UniversalPerturbation', file=file)
    for order, expected in (('rgb', values), ('bgr', values.flip(0)), (None, values)):
        source = AttackSource(tiny_classifier, channel_order=order)
        adversarial = run_attack(attack, source, image_batch.images, image_batch.samples)
        torch.testing.assert_close(adversarial, (image_batch.images + expected).clamp(0, 255))


# --- fitting -------------------------------------------------------------------------------------------------------


def test_one_step_by_hand(linear, make_images, make_samples):
    """Along the sign of the mean gradient, for both images the same."""
    images, samples = make_images(2, 3, 4, 4) / 2 + 60, make_samples(2, 3)
    fit = UniversalPerturbationFit(eps=8, step_size=3)
    seen = fit.run(AttackSource(linear.eval()), images, samples, Randomness(0)).images
    assert torch.equal(seen, images), 'the first batch is seen before the first step'
    native, weight = linear.data_preprocessor, linear.head.fc.weight
    scores = F.linear(((images - native.mean) / native.std).flatten(1), weight, linear.head.fc.bias)
    gradient = ((scores.softmax(1) - F.one_hot(torch.tensor([0, 1]), 3)) @ weight).view(2, 3, 4, 4) / native.std
    torch.testing.assert_close(fit.found, 3 * gradient.mean(0).sign().detach())
    assert fit.last_objective == pytest.approx(F.cross_entropy(scores, torch.tensor([0, 1])).item(), rel=1e-5)
    for _ in range(4):
        fit.run(AttackSource(linear), images, samples, Randomness(0))
    assert fit.found.abs().max() == 8


def test_capped_losses_do_not_count(linear, make_images, make_samples):
    images, samples = make_images(2, 3, 4, 4), make_samples(2, 3)
    fit = UniversalPerturbationFit(eps=8, cap=1e-6)
    fit.run(AttackSource(linear.eval()), images, samples, Randomness(0))
    assert fit.found.eq(0).all() and fit.last_objective == pytest.approx(1e-6)


class Data(list):
    metainfo = {}


@pytest.fixture
def loader(image_batch):
    images = image_batch.images.to(torch.uint8)
    data = Data(dict(inputs=image, data_samples=sample) for image, sample in zip(images, image_batch.samples))
    collate = lambda items: {key: [item[key] for item in items] for key in items[0]}  # noqa: E731
    return DataLoader(data, batch_size=3, collate_fn=collate)


@pytest.mark.parametrize('optimizer', ['sign', 'adam'])
def test_a_perturbation_is_fitted_saved_and_applied(optimizer, loader, image_batch, tiny_classifier, tmp_path):
    source, told = AttackSource(tiny_classifier), []
    fits = [UniversalPerturbationFit(eps=8, step_size=1, optimizer=optimizer) for _ in range(2)]
    for fit in fits:
        fit_universal(fit, source, loader, epochs=6, report=lambda *args: told.append(args))
    assert torch.equal(fits[0].found, fits[1].found) and told[:6] == told[6:]
    assert [epoch for epoch, _ in told[:6]] == [1, 2, 3, 4, 5, 6] and told[5][1] > told[0][1]
    fits[0].result('rgb', {'seed': 0}).save(tmp_path / 'found.pth')
    attack = UniversalPerturbation(tmp_path / 'found.pth', eps=8)
    adversarial = attack(source, image_batch.images, image_batch.samples, Randomness(0))
    assert (adversarial - image_batch.images).abs().max() <= 8 + 1e-4
    with torch.no_grad(), source.undisturbed():
        before, after = (
            F.cross_entropy(source.logits(images), image_batch.labels) for images in (image_batch.images, adversarial)
        )
    assert after > before and before == pytest.approx(told[0][1], rel=0.1)


@pytest.mark.parametrize('optimizer', ['sign', 'adam'])
def test_a_patch_is_fitted_saved_and_applied(optimizer, loader, image_batch, tiny_classifier, tmp_path):
    """Towards one class, in which it is stronger than the noise that it began with."""
    source, target, losses = AttackSource(tiny_classifier), torch.full((6,), 2), []
    for epochs, step_size in ((1, 1e-6), (20, 20)):
        fit = UniversalPatchFit(area=0.25, step_size=step_size, optimizer=optimizer, target_class=2)
        fit_universal(fit, source, loader, epochs)
        fit.result('rgb', {}).save(tmp_path / 'found.pth')
        attack = UniversalPatch(tmp_path / 'found.pth')
        with torch.no_grad(), source.undisturbed():
            seen = [attack(source, image_batch.images, image_batch.samples, Randomness(seed)) for seed in range(8)]
            losses.append(sum(F.cross_entropy(source.logits(images), target).item() for images in seen) / 8)
    assert losses[1] < losses[0] - 0.02


def test_towards_one_class(loader, image_batch, tiny_classifier):
    source = AttackSource(tiny_classifier)
    fit = UniversalPerturbationFit(eps=16, step_size=2, target_class=2)
    fit_universal(fit, source, loader, epochs=6)
    target = torch.full((6,), 2)
    with torch.no_grad(), source.undisturbed():
        before = F.cross_entropy(source.logits(image_batch.images), target)
        after = F.cross_entropy(source.logits((image_batch.images + fit.found).clamp(0, 255)), target)
    assert after < before


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(eps=0), r'UniversalPerturbationFit: eps is a radius .* > 0, got 0'),
        (dict(step_size=0), r'step_size .* > 0, got 0'),
        (dict(optimizer='sgd'), r"unknown optimizer 'sgd'; known: sign, adam"),
        (dict(objective='kl', target_class=1), r"the objective 'kl' has no targeted form"),
        (dict(objective='task_loss', cap=9), r"cap needs an objective on class scores, and 'task_loss' is on the host"),
        (dict(target_class=5), r'there is no target class 5; the model has 5, from 0'),
        (dict(target_class=-1), r'there is no target class -1'),
    ],
    ids=str,
)
def test_bad_settings(settings, message, tiny_classifier):
    with pytest.raises(ValueError, match=message):
        UniversalPerturbationFit(**{'eps': 8, **settings}).check_source(AttackSource(tiny_classifier))


def test_a_perturbation_needs_images_of_one_size(tiny_classifier, make_images, make_samples):
    images = [make_images(3, 12, 10), make_images(3, 12, 11)]
    with pytest.raises(ValueError, match=r'for images of one size, and there are some of 12x11 and of 12x10: resize'):
        UniversalPerturbationFit(eps=8).run(AttackSource(tiny_classifier), images, make_samples(2), Randomness(0))
    fit = UniversalPatchFit(area=0.25)
    fit.run(AttackSource(tiny_classifier), images, make_samples(2), Randomness(0))
    assert fit.found.shape == (3, 5, 5)
