"""PAdam's steps are those of PyTorch's Adam."""

import pytest
import torch

from mmadvdefense.attacks import PAdam


@pytest.mark.parametrize('amsgrad', [False, True])
def test_steps_are_adams(amsgrad):
    attack = PAdam(8, 2, 6, betas=(0.8, 0.99), amsgrad=amsgrad)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.zeros(2, 3, 4, 4, requires_grad=True)
    # PyTorch's constant beside the root is far smaller than gradients of this size.
    adam = torch.optim.Adam([pixels], lr=2, betas=(0.8, 0.99), amsgrad=amsgrad, maximize=True, eps=1e-12)
    ours, state = torch.zeros(2, 3, 4, 4), {'mask': None}
    for step in range(6):
        gradient = torch.randn(2, 3, 4, 4, generator=generator) / (1 + step)
        pixels.grad = gradient
        adam.step()
        ours = ours + 2 * attack.direction(gradient, state)
        torch.testing.assert_close(ours, pixels.detach(), rtol=1e-4, atol=1e-4)


def test_steps_do_not_depend_on_the_size_of_gradients():
    attack = PAdam(8, 2, 3)
    gradients = torch.randn(3, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    states = {scale: {'mask': None} for scale in (1, 1e-30)}
    steps = {s: [attack.direction(s * gradient, state) for gradient in gradients] for s, state in states.items()}
    torch.testing.assert_close(torch.stack(steps[1]), torch.stack(steps[1e-30]))


def test_without_a_gradient_there_is_no_step():
    attack, state = PAdam(8, 2, 3), {'mask': None}
    still = torch.zeros(1, 3, 2, 2)
    assert not attack.direction(still, state).any()
    first = attack.direction(still + 1, state)
    assert first.isfinite().all() and (first > 0).all()


def test_l2_steps_have_unit_length():
    attack = PAdam(100, 30, 3, norm='l2')
    step = attack.direction(torch.randn(2, 3, 4, 4), {'mask': None})
    torch.testing.assert_close(step.flatten(1).norm(dim=1), torch.ones(2))


def test_bad_decays():
    for betas in ((0.9, 1.0), (0.9,), (-0.1, 0.9)):
        with pytest.raises(ValueError, match=r'PAdam: betas are two numbers in \[0, 1\)'):
            PAdam(8, 2, 3, betas=betas)
