from types import SimpleNamespace

import pytest
import torch

from mmadvdefense.losses import GatedTaskLoss


def batch(difference: float, *losses: float) -> SimpleNamespace:
    images = dict(clean=torch.zeros(2, 3, 4, 4), purified_adversarial=torch.full((2, 3, 4, 4), difference))
    tensors = [torch.tensor(loss, requires_grad=True) for loss in losses]
    return SimpleNamespace(pixels=images.__getitem__, task_losses=tensors)


@pytest.mark.parametrize(('difference', 'on'), [(0.05, True), (0.1, True), (0.11, False), (1.0, False)])
def test_on_once_the_images_are_close(difference, on):
    own = batch(difference, 2.0, 0.5)
    terms = GatedTaskLoss(threshold=0.01 + 1e-6, loss_weight=3.0).terms(own)
    assert terms['loss_task_gated'].item() == pytest.approx(3 * 2.5 * on)
    terms['loss_task_gated'].backward()
    assert [loss.grad.item() for loss in own.task_losses] == [3.0 * on] * 2


def test_nothing_to_add():
    assert GatedTaskLoss(loss_weight=0).terms(batch(0.0, 1.0)) == {} and GatedTaskLoss().terms(batch(0.0)) == {}


def test_bad_settings():
    with pytest.raises(ValueError, match='threshold must be > 0, got 0'):
        GatedTaskLoss(threshold=0)
    with pytest.raises(ValueError, match="restored='noise'"):
        GatedTaskLoss(restored='noise')
