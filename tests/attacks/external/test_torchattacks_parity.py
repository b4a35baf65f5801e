"""The same adversarial images as torchattacks."""

import pytest
import torch

from mmadvdefense.attacks import BIM, DIFGSM, FGSM, MIFGSM, PGD, TIFGSM, AttackSource, Randomness

torchattacks = pytest.importorskip('torchattacks')


def assert_same(ours, theirs):
    close = (ours - theirs * 255).abs() <= 1e-3
    assert close.float().mean() >= 0.999


@pytest.fixture
def setting(tiny_classifier, make_images, make_samples, as_library_model):
    tiny_classifier.eval()
    images, samples = make_images(8, 3, 16, 16), make_samples(8)
    labels = torch.cat([sample.gt_label for sample in samples])
    return AttackSource(tiny_classifier), as_library_model(tiny_classifier), images, samples, labels


def test_fgsm(setting):
    source, unit, images, samples, labels = setting
    theirs = torchattacks.FGSM(unit, eps=8 / 255)(images / 255, labels)
    ours = FGSM(eps=8)(source, images, samples, Randomness(0))
    assert_same(ours, theirs)
    assert (ours - images).abs().max() > 7


@pytest.mark.parametrize('steps', [1, 5])
def test_bim(setting, steps):
    source, unit, images, samples, labels = setting
    theirs = torchattacks.BIM(unit, eps=8 / 255, alpha=2.5 / 255, steps=steps)(images / 255, labels)
    assert_same(BIM(eps=8, step_size=2.5, steps=steps)(source, images, samples, Randomness(0)), theirs)


def test_pgd_from_the_clean_image(setting):
    source, unit, images, samples, labels = setting
    attack = torchattacks.PGD(unit, eps=8 / 255, alpha=2 / 255, steps=6, random_start=False)
    ours = PGD(eps=8, step_size=2, steps=6, random_start=None)(source, images, samples, Randomness(0))
    assert_same(ours, attack(images / 255, labels))


def test_pgd_from_the_same_random_start(setting, monkeypatch):
    source, unit, images, samples, labels = setting
    noise = Randomness(3).uniform_like(images)

    def known_noise(self, low, high):
        return self.copy_(noise * (high - low) + low)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, 'uniform_', known_noise)
        theirs = torchattacks.PGD(unit, eps=8 / 255, alpha=2 / 255, steps=6)(images / 255, labels)
    ours = PGD(eps=8, step_size=2, steps=6)(source, images, samples, Randomness(3))
    assert_same(ours, theirs)
    other = PGD(eps=8, step_size=2, steps=6)(source, images, samples, Randomness(4))
    assert ((other - ours).abs() > 1e-3).float().mean() > 0.1


def test_l2_pgd(setting):
    source, unit, images, samples, labels = setting
    attack = torchattacks.PGDL2(unit, eps=1.0, alpha=0.3, steps=5, random_start=False)
    ours = PGD(eps=255, step_size=0.3 * 255, steps=5, norm='l2', random_start=None)(
        source, images, samples, Randomness(0)
    )
    # Steps are as long as the gradient says, so rounding shows a little more.
    torch.testing.assert_close(ours, attack(images / 255, labels) * 255, atol=1e-2, rtol=0)


def test_targeted_least_likely(setting):
    source, unit, images, samples, labels = setting
    attack = torchattacks.PGD(unit, eps=8 / 255, alpha=2 / 255, steps=6, random_start=False)
    attack.set_mode_targeted_least_likely(quiet=True)
    ours = PGD(eps=8, step_size=2, steps=6, random_start=None, targeted='least_likely')(
        source, images, samples, Randomness(0)
    )
    assert_same(ours, attack(images / 255, labels))


@pytest.mark.parametrize('momentum', [1.0, 0.4])
def test_mifgsm(setting, momentum):
    source, unit, images, samples, labels = setting
    theirs = torchattacks.MIFGSM(unit, eps=8 / 255, alpha=1.5 / 255, steps=6, decay=momentum)(images / 255, labels)
    ours = MIFGSM(eps=8, step_size=1.5, steps=6, momentum=momentum)(source, images, samples, Randomness(0))
    assert_same(ours, theirs)
    plain = BIM(eps=8, step_size=1.5, steps=6)(source, images, samples, Randomness(0))
    assert ((ours - plain).abs() > 1).float().mean() > 0.05


def test_targeted_mifgsm(setting):
    source, unit, images, samples, labels = setting
    attack = torchattacks.MIFGSM(unit, eps=8 / 255, alpha=1.5 / 255, steps=6)
    attack.set_mode_targeted_least_likely(quiet=True)
    ours = MIFGSM(eps=8, step_size=1.5, steps=6, targeted='least_likely')(source, images, samples, Randomness(0))
    assert_same(ours, attack(images / 255, labels))


@pytest.mark.parametrize('momentum', [0.0, 1.0])
@pytest.mark.parametrize('kernel_size', [5, 15])
def test_tifgsm(setting, kernel_size, momentum):
    source, unit, images, samples, labels = setting
    theirs = torchattacks.TIFGSM(
        unit, eps=8 / 255, alpha=2 / 255, steps=5, decay=momentum, len_kernel=kernel_size, diversity_prob=0
    )(images / 255, labels)
    ours = TIFGSM(eps=8, step_size=2, steps=5, kernel_size=kernel_size, momentum=momentum)(
        source, images, samples, Randomness(0)
    )
    assert_same(ours, theirs)


def test_difgsm_whose_resizing_is_switched_off(setting):
    source, unit, images, samples, labels = setting
    theirs = torchattacks.DIFGSM(unit, eps=8 / 255, alpha=2 / 255, steps=5, decay=1.0, diversity_prob=0)
    ours = DIFGSM(eps=8, step_size=2, steps=5, momentum=1.0, diversity=0)(source, images, samples, Randomness(0))
    assert_same(ours, theirs(images / 255, labels))
