"""Which tensors of a checkpoint fit into a model."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Optional, Sequence

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..models import unwrap

# The preprocessor of a protected model is its purifier, which the target's own checkpoint does not know.
PREPROCESSOR = ('data_preprocessor.',)
# Batch counters, which old checkpoints lack and nothing depends on.
_COUNTER = 'num_batches_tracked'


@dataclass
class LoadReport:
    """How the tensors of a checkpoint compare with those of a model (parameters and persistent buffers), by name.

    Attributes:
        matched: In both, with the same shape.
        mismatched: Name, shape in the checkpoint, shape in the model.
        missing: In the model alone.
        unexpected: In the checkpoint alone.
        tolerated: Batch counters that the checkpoint lacks, and buffers that the model keeps when it is loaded.
    """

    matched: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    tolerated: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """The number of tensors of the model."""
        return len(self.matched) + len(self.missing) + len(self.mismatched) + len(self.tolerated)

    @property
    def unfit(self) -> list[str]:
        """The names that checkpoint and model do not have in common, or not with the same shape; sorted."""
        unexpected = [name for name in self.unexpected if not name.endswith(_COUNTER)]
        return sorted([*self.missing, *unexpected, *(name for name, *_ in self.mismatched)])

    def __str__(self) -> str:
        text = f'loaded {len(self.matched)} of {self.total} tensors of the target; {len(self.missing)} missing'
        if self.mismatched:
            text += f'; {len(self.mismatched)} with another shape'
        if self.tolerated:
            text += f'; {len(self.tolerated)} that need no loading ({some(self.tolerated, 3)})'
        if self.unexpected:
            text += f'; {len(self.unexpected)} in the checkpoint not used ({some(self.unexpected, 3)})'
        return text


def compare_state_dict(
    model: nn.Module, state_dict: Mapping[str, Any], ignore: Sequence[str] = PREPROCESSOR
) -> LoadReport:
    """Compare a checkpoint with a model, because MMEngine loads non-strictly and would only log what does not fit.

    Nothing is loaded. What the model converts itself while loading (old names, resized position embeddings) fits; what
    such a conversion raises is raised.

    Args:
        model: The model that is to be filled; a DDP wrapper is looked through.
        state_dict: The tensors of the checkpoint. A leading ``module.`` does not count.
        ignore: Prefixes of names that are left out on both sides.
    """
    model = unwrap(model)
    offered = offered_tensors(state_dict, ignore)
    report = _compare(tensors_to_fill(model, ignore), offered)
    if report.missing or report.mismatched:
        arrived, dropped = _rehearse(model, offered)
        doubtful = [*report.missing, *(name for name, *_ in report.mismatched)]
        report.matched += [name for name in doubtful if name in arrived]
        report.tolerated += [name for name in doubtful if name in dropped]
        report.missing = [name for name in report.missing if name not in arrived | dropped]
        report.mismatched = [entry for entry in report.mismatched if entry[0] not in arrived | dropped]
    return report


def tensors_to_fill(model: nn.Module, ignore: Sequence[str]) -> dict[str, Any]:
    """What a checkpoint must fill: the model's tensors whose names begin with none of ``ignore``."""
    return {name: value for name, value in model.state_dict().items() if not name.startswith(tuple(ignore))}


def offered_tensors(state_dict: Mapping[str, Any], ignore: Sequence[str]) -> OrderedDict[str, Any]:
    """What a checkpoint offers, by the model's names: without a leading ``module.``, and without ``ignore``."""
    named = ((re.sub(r'^module\.', '', name), value) for name, value in state_dict.items())
    stripped = OrderedDict((name, value) for name, value in named if not name.startswith(tuple(ignore)))
    # Modules that convert old checkpoints find the old version in here.
    stripped._metadata = getattr(state_dict, '_metadata', OrderedDict())  # type: ignore[attr-defined]
    return stripped


def _compare(wanted: Mapping[str, Any], offered: Mapping[str, Any]) -> LoadReport:
    report = LoadReport(unexpected=[name for name in offered if name not in wanted])
    for name, value in wanted.items():
        if name not in offered:
            (report.tolerated if name.endswith(_COUNTER) else report.missing).append(name)
        elif isinstance(value, Tensor) and _shape(value) != _shape(offered[name]):
            report.mismatched.append((name, _shape(offered[name]), _shape(value)))
        else:
            report.matched.append(name)
    return report


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, 'shape', ()))


class _Rehearsal(TorchFunctionMode):
    """Notes which of the given tensors are written to with ``copy_``, and leaves them as they are."""

    def __init__(self, names: Mapping[int, list[str]]):
        super().__init__()
        self.names = names
        self.arrived: set[str] = set()

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: Optional[dict] = None) -> Any:
        if func is Tensor.copy_ and id(args[0]) in self.names:
            self.arrived.update(self.names[id(args[0])])
            return args[0]
        return func(*args, **(kwargs or {}))


def _rehearse(model: nn.Module, state_dict: OrderedDict[str, Any]) -> tuple[set[str], set[str]]:
    """Load without writing, which shows what a comparison of names and shapes does not.

    Transformers resize their position embeddings when they are loaded and keep their own position indices, and several
    modules of mmcv and mmdet rename what old versions saved.

    Returns:
        The names of the tensors that loading would fill, and those of the buffers that the model has in the
        checkpoint but chose to keep as they are.
    """
    names: dict[int, list[str]] = {}
    for group in (model.named_parameters, model.named_buffers):
        for name, tensor in group(remove_duplicate=False):
            names.setdefault(id(tensor), []).append(name)
    complaints = ''
    with _Rehearsal(names) as rehearsal:
        try:
            model.load_state_dict(state_dict, strict=False)
        except RuntimeError as error:
            complaints = str(error)
            if not complaints.startswith('Error(s) in loading state_dict'):
                raise  # a conversion that fails would fail when loading, too
            # Otherwise shapes differ, which is raised after all else has been loaded.
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    dropped = {name for name in buffers & state_dict.keys() if f'size mismatch for {name}:' not in complaints}
    return rehearsal.arrived, dropped - rehearsal.arrived


def some(items: Sequence[str], most: int) -> str:
    """The first items, and how many more there are."""
    text = ', '.join(items[:most]) or 'nothing'
    return text if len(items) <= most else f'{text} and {len(items) - most} more'
