import pytest
import torch

from mmadvdefense.losses import FeatureMatchingLoss, LSGANLoss


def outputs(*scales):
    return [[torch.tensor([value], requires_grad=True) for value in layers] for layers in scales]


def test_values_by_hand():
    fake = outputs([1.0, 2.0, 100.0], [3.0, 4.0, 100.0])
    guide = outputs([0.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    loss = FeatureMatchingLoss()(fake, guide)
    # two layers beside the logits: 4 / 2 each; two scales: 1 / 2 each
    assert loss.item() == (1 + 2 + 2 + 3) * 2 / 2
    loss.backward()
    assert all(layer.grad is None for scale in guide for layer in scale)
    assert [[layer.grad is not None for layer in scale] for scale in fake] == [[True, True, False]] * 2


def test_parity(reference, reference_discriminator):
    guide = reference_discriminator(reference['dis_real'])
    image = reference['dis_fake'].clone().requires_grad_()
    fake = reference_discriminator(image)
    matching = FeatureMatchingLoss()(fake, guide)
    torch.testing.assert_close(matching, reference['gan_feature_matching'], rtol=1e-5, atol=0)
    (grad,) = torch.autograd.grad(LSGANLoss().generator_loss(fake) + 10 * matching, image)
    expected = reference['gan_fake_grad']
    torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def test_terms(make_batch):
    batch = make_batch(
        discriminate=dict(purified_adversarial=outputs([1.0, 9.0])),
        discriminate_detached=dict(purified_clean=outputs([3.0, 9.0])),
    )
    terms = FeatureMatchingLoss(loss_weight=10.0).terms(batch)
    assert {name: value.item() for name, value in terms.items()} == {'loss_feature_matching': 10 * 4 * 2.0}
    assert FeatureMatchingLoss(loss_weight=0.0).terms(make_batch()) == {}


def test_two_kinds_of_fakes_by_hand(make_batch):
    """Equation 11: purified adversarial and purified clean images, each against the clean ones."""
    batch = make_batch(
        discriminate=dict(purified_adversarial=outputs([1.0, 9.0]), purified_clean=outputs([2.5, 9.0])),
        discriminate_detached=dict(clean=outputs([3.0, 9.0])),
    )
    loss = FeatureMatchingLoss(fake=('purified_adversarial', 'purified_clean'), guide='clean')
    assert loss.terms(batch)['loss_feature_matching'].item() == 4 * (2.0 + 0.5)


@pytest.mark.parametrize(
    ('layers', 'distances'),
    [(None, [1, 2, 4, 8]), (range(5), [1, 2, 4, 8, 16]), ((0, 1, 3, 4), [1, 2, 8, 16]), ([4], [16])],
)
def test_layers_by_hand(layers, distances):
    """Of five layers each counts 4 / 4 whichever are left out, as does the one scale."""
    fake, guide = outputs([1.0, 2.0, 4.0, 8.0, 16.0]), outputs([0.0] * 5)
    assert FeatureMatchingLoss(layers=layers)(fake, guide).item() == sum(distances)


def test_all_layers_against_the_reference(reference, reference_discriminator):
    fake, guide = (reference_discriminator(reference[f'dis_{name}']) for name in ('fake', 'real'))
    logits = sum((a[-1] - b[-1]).abs().mean() / 2 for a, b in zip(fake, guide))
    loss = FeatureMatchingLoss(layers=range(5))(fake, guide)
    torch.testing.assert_close(loss, reference['gan_feature_matching'] + logits, rtol=1e-5, atol=0)


def test_wrong_layers():
    for layers in ([], [-1], [2, 2]):
        with pytest.raises(ValueError, match='layers are indices from 0, each once'):
            FeatureMatchingLoss(layers=layers)
    with pytest.raises(ValueError, match=r'layers=\[0, 3\], but the discriminator has the layers 0 to 2'):
        FeatureMatchingLoss(layers=[0, 3])(outputs([1.0, 2.0, 3.0]), outputs([1.0, 2.0, 3.0]))


@pytest.mark.parametrize('argument', ['fake', 'guide'])
def test_unknown_image(argument):
    with pytest.raises(ValueError, match=f"{argument}='noise'.*purified_clean"):
        FeatureMatchingLoss(**{argument: 'noise'})
