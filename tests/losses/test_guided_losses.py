import pytest
import torch
from torch import Tensor

from mmadvdefense.losses import FeatureReconstructionLoss, PixelReconstructionLoss
from mmadvdefense.registry import MODELS, in_root_scope

CASES = {
    'PixelReconstructionLoss': ('pixels', 'pixel', 'purified_clean'),
    'FeatureReconstructionLoss': ('features', 'feature', 'clean'),
}


def build(kind: str, **settings):
    """As the training hook builds it: a host may have a loss of the same name."""
    return MODELS.build(in_root_scope(dict(type=kind, **settings)))


def images(value: float) -> Tensor:
    return torch.full((2, 3, 4, 4), value, requires_grad=True)


@pytest.fixture
def tensors():
    return dict(
        clean=images(0.1), adversarial=images(0.2), purified_clean=images(0.4), purified_adversarial=images(-0.4)
    )


@pytest.mark.parametrize('kind', CASES)
def test_default_guides_are_the_papers(kind, tensors, make_batch):
    source, name, adv_guide = CASES[kind]
    terms = build(kind).terms(make_batch(**{source: tensors}))
    expected_adv = {'purified_clean': 0.8, 'clean': 0.5}[adv_guide]
    assert {key: round(value.item(), 6) for key, value in terms.items()} == {
        f'loss_{name}_clean': 0.3,
        f'loss_{name}_adv': expected_adv,
    }


@pytest.mark.parametrize('kind', CASES)
def test_weights_multiply(kind, tensors, make_batch):
    source, name, _ = CASES[kind]
    loss = build(kind, adv_guide='adversarial', clean_weight=2.0, adv_weight=3.0, loss_weight=5.0)
    terms = loss.terms(make_batch(**{source: tensors}))
    torch.testing.assert_close(terms[f'loss_{name}_clean'], torch.tensor(3.0))
    torch.testing.assert_close(terms[f'loss_{name}_adv'], torch.tensor(9.0))


@pytest.mark.parametrize('kind', CASES)
def test_zero_weights_are_not_computed(kind, tensors, make_batch):
    source, name, _ = CASES[kind]
    needed = {key: tensors[key] for key in ('clean', 'purified_clean')}
    terms = build(kind, adv_weight=0.0).terms(make_batch(**{source: needed}))
    assert list(terms) == [f'loss_{name}_clean']
    assert build(kind, loss_weight=0.0).terms(make_batch()) == {}


@pytest.mark.parametrize('kind', CASES)
@pytest.mark.parametrize('argument', ['clean_guide', 'adv_guide'])
def test_unknown_guide(kind, argument):
    with pytest.raises(
        ValueError, match=f"{argument}='dirty'.*clean, adversarial, purified_clean, purified_adversarial"
    ):
        build(kind, **{argument: 'dirty'})


@pytest.mark.parametrize('kind', [PixelReconstructionLoss, FeatureReconstructionLoss])
@pytest.mark.parametrize('detach_guide', [False, True])
def test_detach_guide(kind, detach_guide):
    purified, guide = images(0.5), images(0.25)
    kind(detach_guide=detach_guide)(purified, guide).backward()
    torch.testing.assert_close(purified.grad, torch.full_like(purified, 1 / purified.numel()))
    assert (guide.grad is None) == detach_guide


def test_mean_is_over_every_element():
    loss = FeatureReconstructionLoss()
    assert loss(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])).item() == 2.0


def test_squared_difference_by_hand(tensors, make_batch):
    loss = build('PixelMSELoss', adv_guide='clean', clean_weight=2.0, loss_weight=0.7)
    terms = {name: value.item() for name, value in loss.terms(make_batch(pixels=tensors)).items()}
    assert terms == pytest.approx({'loss_mse_clean': 0.7 * 2 * 0.3**2, 'loss_mse_adv': 0.7 * 0.5**2})
