"""The objective of adversarial training: the host's own losses, weighted, and terms on pairs of images."""

from __future__ import annotations

import copy
from typing import Any, Optional, Sequence

import torch
from mmengine.dist import all_reduce, all_reduce_params, get_world_size
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ..attacks import AttackSource
from ..errors import UsageError
from ..losses import LearnedLoss, PurifierLoss
from ..pixels import Pixels
from ..registry import MODELS, in_root_scope
from ..tasks import FeatureTap, Task
from .paired_step import Layer, PairedStep


class ModelObjective(nn.Module):
    """Loss terms beside, or in place of, those of a model that is trained on clean and adversarial images.

    Args:
        losses: configs of terms (``mmadvdefense.losses``); each may name its own ``feature_layer``.
        task_weight: weight of the host's losses on each half.
        feature_layer: the layer of terms that name none; None for the task's own choice.
        replaced: beginnings of the names of host losses that the terms take the place of.
    """

    def __init__(
        self,
        losses: Sequence[dict[str, Any]] = (),
        task_weight: float = 1.0,
        feature_layer: Layer = None,
        replaced: Sequence[str] = (),
    ):
        super().__init__()
        self.task_weight = task_weight
        self.replaced = tuple(replaced)
        configs = [dict(loss) for loss in losses]
        self.layers: list[Layer] = [config.pop('feature_layer', feature_layer) for config in configs]
        self.terms: list[PurifierLoss] = [MODELS.build(in_root_scope(config)) for config in configs]
        self.losses = nn.ModuleList(self.terms)
        self._taps: dict[Layer, FeatureTap] = {}

    @property
    def learns(self) -> bool:
        """Whether a term has something to learn."""
        return any(isinstance(term, LearnedLoss) for term in self.terms)

    def prepare(self, task: Task, device: torch.device) -> None:
        """Find the layers, pass facts about the model to the terms, and create what they learn."""
        layers = [*self.layers, *(layer for term in self.terms for layer in getattr(term, 'other_layers', ()))]
        self._taps = {layer: task.feature_tap(layer) for layer in dict.fromkeys(layers)}
        facts = {'num_classes': task.num_classes, 'exclusive': task.exclusive_classes}
        for term, layer in zip(self.terms, self.layers):
            for name, value in {**facts, 'num_features': _length(self._taps[layer])}.items():
                if getattr(term, name, value) is None:
                    setattr(term, name, value)
            if isinstance(term, LearnedLoss):
                term.prepare()
        self.losses.to(device).train()

    def join(self, optimizer: OptimWrapper) -> None:
        """Let the model's optimizer, schedule and gradient clipping update what the terms learn.

        Raises:
            ValueError: for several optimizers.
        """
        if not any(True for _ in self.losses.parameters()):
            return
        if not isinstance(optimizer, OptimWrapper):
            raise UsageError('loss terms with parameters need one optimizer, and the config has several')
        first = optimizer.optimizer.param_groups[0]
        for term in self.terms:
            own = list(term.parameters())
            if not own:
                continue
            group = {name: copy.deepcopy(value) for name, value in first.items() if name != 'params'}
            # Schedules keep several learning rates of a group, which they scale alike.
            group.update({name: value * term.lr_mult for name, value in group.items() if name.endswith('lr')})
            optimizer.optimizer.add_param_group({**group, 'params': own})
            for parameter in own:
                # Not in the model that is wrapped for distributed training.
                parameter.register_hook(_mean_over_ranks)

    def restore(self, state: dict[str, Tensor]) -> bool:
        """Load what terms have learned, if it is of the same terms; returns whether it is."""
        own = self.losses.state_dict()
        fits = {name: value.shape for name, value in own.items()} == {name: v.shape for name, v in state.items()}
        if fits:
            self.losses.load_state_dict(state)
        return fits

    def share_buffers(self) -> None:
        """Average what terms learn without gradients over all ranks, after each of their own updates."""
        if get_world_size() > 1 and any(True for _ in self.losses.buffers()):
            all_reduce_params([own for own in self.losses.buffers() if own.is_floating_point()], op='mean')

    def begin(self, source: AttackSource, clean: Pixels, adversarial: Pixels) -> PairedStep:
        return PairedStep(self._taps, source, clean, adversarial)

    def combine(self, losses: dict[str, Any], step: Optional[PairedStep], halves: int) -> dict[str, Any]:
        """The host's losses, weighted and under names with ``task_`` in front, and the terms.

        Args:
            losses: of the host on the joint batch, of which they are averages.
            step: the batch, with features; None without terms.
            halves: how many kinds of images it has.

        Raises:
            ValueError: for two terms of one name.
        """
        terms: dict[str, Any] = {}
        for name, value in losses.items():
            if 'loss' not in name:
                terms[f'task_{name}'] = value
            elif self.task_weight and not name.startswith(self.replaced or ('\0',)):
                terms[f'task_{name}'] = _times(value, self.task_weight * halves)
        if step is None:
            return terms
        for term, layer in zip(self.terms, self.layers):
            new = term.terms(step.view(layer))
            # One loss at several layers.
            new = {f'{name}_{layer}' if name in terms else name: value for name, value in new.items()}
            if new.keys() & terms.keys():
                raise UsageError(f'duplicate names of loss terms: {", ".join(new.keys() & terms.keys())}')
            terms.update(new)
        return terms


def _times(value: Any, weight: float) -> Any:
    return value * weight if isinstance(value, Tensor) else [item * weight for item in value]


def _mean_over_ranks(gradient: Tensor) -> Tensor:
    if get_world_size() > 1:
        all_reduce(gradient, op='mean')
    return gradient


def _length(tap: FeatureTap) -> Optional[int]:
    """The length of the vectors at a layer with weights; None for others."""
    module = tap.module
    if not isinstance(module, (nn.Linear, nn.Conv2d)):
        return None
    shape = module.weight.shape
    return int(shape[1] if tap.side == 'input' else shape[0])
