"""Adversarial weight perturbation: the update is that of weights nearby for which the loss is higher."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

import torch
from mmengine.dist import all_reduce_params, get_world_size
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ..errors import UsageError

# Of the norm of a gradient, so that a layer without one is not perturbed.
_LEAST = 1e-20


class WeightPerturbation:
    """Moves a model's weights up the gradient of its training loss, until the optimizer's step.

    Wu, Xia and Wang, "Adversarial Weight Perturbation Helps Robust Generalization" (NeurIPS 2020), algorithm 1 with a
    single step, as its authors train. Of each layer, ``v = gamma * |w| * g / |g|`` with the Euclidean norms of its
    weights ``w`` and of their gradient ``g`` (equations 9 and 10). As in the authors' code, parameters of at least two
    dimensions named ``weight`` are perturbed, which leaves out biases and normalization.

    The weights are put back bit for bit right before the optimizer's step, so that ``w + v - lr * g(w + v) - v`` has no
    rounding errors and weight decay is that of ``w``. An iteration that only accumulates gradients has no such step:
    call :meth:`take_back` after it.

    Args:
        gamma: size of the perturbation in relation to the weights, > 0; 0.005 to 0.01 in the paper.

    Raises:
        ValueError: for a size out of range.
    """

    def __init__(self, gamma: float):
        if not gamma > 0:
            raise UsageError(f'the weight perturbation must be > 0, got {gamma}')
        self.gamma = gamma
        self._original: list[tuple[Tensor, Tensor]] = []
        self._handle: Optional[Any] = None

    def attach(self, optimizer: OptimWrapper) -> None:
        """Take perturbations back before each step of this optimizer, until :meth:`detach`.

        Raises:
            ValueError: for several optimizers.
        """
        if not isinstance(optimizer, OptimWrapper):
            raise UsageError('weight perturbation needs one optimizer, and the config has several')
        self._handle = optimizer.optimizer.register_step_pre_hook(lambda *_: self.take_back())

    def detach(self) -> None:
        self.take_back()
        if self._handle is not None:
            self._handle.remove()
        self._handle = None

    def apply(self, model: nn.Module, loss: Callable[[], Tensor]) -> None:
        """Perturb the weights of a model; gradients that have been accumulated are left alone.

        Args:
            model: without a wrapper.
            loss: computes the training loss, a scalar.
        """
        weights = [
            parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and parameter.ndim > 1 and 'weight' in name
        ]
        found = torch.autograd.grad(loss(), weights, allow_unused=True)
        gradients = [torch.zeros_like(weight) if own is None else own for weight, own in zip(weights, found)]
        if get_world_size() > 1:
            # One perturbation for the batches of all processes, as if they were one.
            all_reduce_params(gradients, op='mean')
        self._original = [(weight, weight.detach().clone()) for weight in weights]
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients):
                weight.add_(gradient * (self.gamma * weight.norm() / gradient.norm().clamp_min(_LEAST)))

    @torch.no_grad()
    def take_back(self) -> None:
        """Restore the weights, if they are perturbed."""
        for weight, original in self._original:
            weight.copy_(original)
        self._original = []


@contextmanager
def kept_buffers(*modules: nn.Module) -> Iterator[None]:
    """Restore the buffers of modules, such as the statistics of BatchNorm, on exit."""
    saved = [(buffer, buffer.clone()) for module in modules for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)
