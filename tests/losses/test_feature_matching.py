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


@pytest.mark.parametrize('argument', ['fake', 'guide'])
def test_unknown_image(argument):
    with pytest.raises(ValueError, match=f"{argument}='noise'.*purified_clean"):
        FeatureMatchingLoss(**{argument: 'noise'})
