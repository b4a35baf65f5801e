"""No operation of a training step waits for the device, which its calls show on a CPU as well."""

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# Operators that need to know values before they can continue.
WAITING = {
    '_local_scalar_dense',
    'item',
    'is_nonzero',
    'equal',
    'nonzero',
    'argwhere',
    'masked_select',
    'bincount',
    '_unique',
    '_unique2',
    'unique_dim',
    'unique_consecutive',
    'repeat_interleave',
}
# Methods that never reach an operator on a CPU.
METHODS = {
    Tensor.item,
    Tensor.tolist,
    Tensor.numpy,
    Tensor.cpu,
    Tensor.nonzero,
    Tensor.__bool__,
    Tensor.__int__,
    Tensor.__float__,
    Tensor.__index__,
    Tensor.__contains__,
}


class Operators(TorchDispatchMode):
    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = name in ('index', 'index_put', 'index_put_', '_index_put_impl_') and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in WAITING or masks:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


class Methods(TorchFunctionMode):
    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in METHODS:
            self.found.append(func.__name__)
        if func is torch.nn.functional.one_hot and len(args) + len(kwargs or {}) == 2:
            # Given the number of classes, it looks at the labels only on a CPU; CUDA checks them while it writes.
            with torch.utils._python_dispatch._disable_current_modes():
                return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def waits_of(function):
    """The names of all calls in ``function`` that wait for a device."""
    found = []
    with Methods(found), Operators(found):
        function()
    return found


VALUES, INDICES = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([1, 0, 2])


@pytest.mark.parametrize(
    'function',
    [
        lambda: VALUES[0].item(),
        lambda: VALUES.tolist(),
        lambda: VALUES.cpu(),
        lambda: VALUES.numpy(),
        lambda: bool(VALUES[0] > 0),
        lambda: [1] if VALUES.sum() > 1 else [2],
        lambda: int(VALUES[0]),
        lambda: float(VALUES[0]),
        lambda: [5, 6, 7][INDICES[0]],
        lambda: VALUES.nonzero(),
        lambda: VALUES[VALUES > 0],
        lambda: VALUES.masked_select(VALUES > 0),
        lambda: VALUES.clone().index_put_((VALUES > 0,), VALUES[0]),
        lambda: INDICES.unique(),
        lambda: INDICES.bincount(),
        lambda: torch.equal(VALUES, VALUES),
        lambda: torch.where(VALUES > 0),
        lambda: torch.nn.functional.one_hot(INDICES),
        lambda: 2 in INDICES,
        lambda: range(INDICES[2]),
    ],
)
def test_waiting_is_found(function):
    assert waits_of(function)


def test_what_does_not_wait_is_not_found():
    def harmless():
        VALUES[INDICES] + VALUES.where(VALUES > 0, 1)
        VALUES.clone().index_add_(0, INDICES, VALUES).masked_fill(VALUES > 0, 0).to('cpu', non_blocking=True)

    assert waits_of(harmless) == []


ATTACKS = {
    'config': None,
    'task_loss': dict(type='PGD', eps=8, step_size=2, steps=2, objective='task_loss'),
    'random_target': dict(type='PGD', eps=8, step_size=2, steps=2, targeted='random'),
    'task_loss_target': dict(type='BIM', eps=8, step_size=2, steps=2, objective='task_loss', targeted='least_likely'),
    'l2_kernel': dict(type='PGD', eps=100, step_size=20, steps=2, norm='l2', kernel_size=3),
}


@pytest.mark.parametrize('attack', ATTACKS)
@pytest.mark.parametrize('condition_on_labels', [False, True])
def test_a_training_step_never_waits(attack, condition_on_labels, ready, train_step_benchmark, monkeypatch):
    # As on a GPU: on a CPU, where nothing has to be waited for, attacks ask whether a gradient is finite.
    for module in ('base', 'finite'):
        monkeypatch.setattr(f'mmadvdefense.attacks.{module}.known_finite', lambda values: False)
    options = {'data_preprocessor.condition_on_labels': condition_on_labels}
    if condition_on_labels:
        options['data_preprocessor.discriminator.in_channels'] = 3 + 10
    if ATTACKS[attack]:
        options['custom_hooks.0.attack'] = dict(ATTACKS[attack], _delete_=True)
    runner, hook = ready(options)
    assert any(getattr(loss, 'num_classes', None) == 10 for loss in hook.losses), 'no class alignment in this test'
    data = next(train_step_benchmark.batches(runner))
    model, losses = runner.model, {}

    def step():
        # train_step without the host's bookkeeping of losses and without the optimizer.
        hook.before_train_iter(runner, 0, data)
        losses.update(model(**model.data_preprocessor(data, True), mode='loss'))
        hook.after_train_iter(runner, 0, data, losses)

    assert waits_of(step) == []
    assert {'loss_align', 'loss_inter', 'loss_intra', 'loss_gan_discriminator'} <= losses.keys()


def test_class_alignment_would_wait_without_the_number_of_classes(ready, train_step_benchmark):
    """The step does not wait because the hook tells the loss the number of classes."""
    runner, hook = ready()
    for loss in hook.losses:
        if getattr(loss, 'num_classes', None):
            loss.num_classes = None
    data = next(train_step_benchmark.batches(runner))
    hook.before_train_iter(runner, 0, data)
    model = runner.model
    assert waits_of(lambda: model(**model.data_preprocessor(data, True), mode='loss'))
