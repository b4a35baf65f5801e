import pytest
import torch

from mmadvdefense.losses import LSGANLoss


def outputs(*logits):
    """Discriminator outputs of two layers a scale; the first must not matter."""
    return [[torch.full((1, 4, 5, 5), 100.0), torch.tensor(values).view(1, 1, -1, 1)] for values in logits]


def test_values_by_hand():
    loss = LSGANLoss()
    fake = outputs([1.0, 3.0], [0.0])
    real = outputs([1.0, 1.0], [2.0])
    assert loss.generator_loss(fake).item() == (0 + 4) / 2 + 1
    assert loss.discriminator_loss(real, fake).item() == ((0 + 1) + ((1 + 9) / 2 + 0)) / 2
    assert loss(real, target_is_real=False).item() == 1 + 4


def test_parity(reference, reference_discriminator):
    fake, real = (reference_discriminator(reference[f'dis_{name}']) for name in ('fake', 'real'))
    loss = LSGANLoss()
    torch.testing.assert_close(loss.generator_loss(fake), reference['gan_generator'], rtol=1e-5, atol=0)
    torch.testing.assert_close(loss.discriminator_loss(real, fake), reference['gan_discriminator'], rtol=1e-5, atol=0)


def test_terms(make_batch):
    batch = make_batch(
        discriminate=dict(purified_adversarial=outputs([3.0])),
        discriminate_detached=dict(purified_clean=outputs([2.0]), purified_adversarial=outputs([3.0])),
    )
    terms = LSGANLoss(generator_weight=2.0, discriminator_weight=3.0, loss_weight=10.0).terms(batch)
    assert {name: value.item() for name, value in terms.items()} == {
        'loss_gan_generator': 20 * 4.0,
        'loss_gan_discriminator': 30 * (1 + 9) / 2,
    }


def test_zero_weights_are_not_computed(make_batch):
    generator_only = make_batch(discriminate=dict(purified_adversarial=outputs([3.0])))
    assert list(LSGANLoss(discriminator_weight=0.0).terms(generator_only)) == ['loss_gan_generator']
    discriminator_only = make_batch(discriminate_detached=dict(clean=outputs([2.0]), purified_clean=outputs([3.0])))
    loss = LSGANLoss(real='clean', fake='purified_clean', generator_weight=0.0)
    assert list(loss.terms(discriminator_only)) == ['loss_gan_discriminator']
    assert LSGANLoss(loss_weight=0.0).terms(make_batch()) == {}


def test_two_kinds_of_fakes_by_hand(make_batch):
    """Equation 10: clean images are real, purified clean and purified adversarial ones are both fake."""
    logits = dict(clean=outputs([2.0]), purified_clean=outputs([3.0]), purified_adversarial=outputs([-1.0]))
    batch = make_batch(
        discriminate={name: logits[name] for name in ('purified_clean', 'purified_adversarial')},
        discriminate_detached=logits,
    )
    terms = LSGANLoss(real='clean', fake=['purified_clean', 'purified_adversarial']).terms(batch)
    assert {name: value.item() for name, value in terms.items()} == {
        'loss_gan_generator': (3 - 1) ** 2 + (-1 - 1) ** 2,
        'loss_gan_discriminator': ((2 - 1) ** 2 + 3**2 + (-1) ** 2) / 2,
    }


def test_one_fake_in_a_list_is_one_fake(make_batch):
    tensors = dict(
        discriminate=dict(purified_adversarial=outputs([3.0])),
        discriminate_detached=dict(purified_clean=outputs([2.0]), purified_adversarial=outputs([3.0])),
    )
    assert LSGANLoss(fake=['purified_adversarial']).terms(make_batch(**tensors)) == LSGANLoss().terms(
        make_batch(**tensors)
    )


@pytest.mark.parametrize('fake', [[], ['purified_clean', 'purified_clean']])
def test_no_fake_or_one_twice(fake):
    with pytest.raises(ValueError, match='fake names one or more images, each once'):
        LSGANLoss(fake=fake)


@pytest.mark.parametrize('argument', ['real', 'fake'])
def test_unknown_image(argument):
    with pytest.raises(ValueError, match=f"{argument}='noise'.*purified_clean"):
        LSGANLoss(**{argument: 'noise'})
