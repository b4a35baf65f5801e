"""Score one model under several conditions, without and with its purifier, by the host's own metric."""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Optional, Sequence, Union

import numpy as np
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..hooks import AttackHook
from ..purifiers import Purifier

MEASURED = ('perturbation/', 'purified/')
# What a table shows of a metric's many numbers, the first that is there.
MAIN_METRICS = ('accuracy/top1', 'mIoU', 'pascal_voc/mAP', 'coco/bbox_mAP_50', 'coco/bbox_mAP')


@dataclass
class Condition:
    """What is done to the test images.

    Attributes:
        name: as tables show it.
        attack: config of the attack, None for clean images.
        source: None for the target itself, or ``dict(config=..., checkpoint=...)``.
        threat_model: ``'none'``, ``'white-box'`` (on O, purifier unknown) or ``'transfer'``.
    """

    name: str
    attack: Optional[dict] = None
    source: Optional[dict] = None
    threat_model: str = 'none'


@dataclass
class Result:
    """One row: a condition, with the purifier or without."""

    condition: Condition
    purifier: bool
    metrics: dict[str, float] = field(default_factory=dict)
    measured: dict[str, Optional[float]] = field(default_factory=dict)

    def as_dict(self) -> dict:
        return asdict(self)


def evaluate(
    runner: Runner,
    conditions: Sequence[Condition],
    purifier: Sequence[bool] = (False, True),
    seed: int = 0,
    quantize: bool = False,
) -> list[Result]:
    """Run the test loop once for every condition, without and with the purifier.

    Both meet the very same adversarial images. A model without a purifier is scored without only.

    Args:
        runner: with a test loop; its checkpoint is loaded by the first run.
        conditions: what to do to the images.
        purifier: which of without and with.
        seed: of the attacks.
        quantize: round adversarial images to whole pixels.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    preprocessor = model.data_preprocessor
    if not isinstance(preprocessor, Purifier):
        purifier = (False,)
    results = []
    with tempfile.TemporaryDirectory(dir=_work_dir(runner), prefix='adversarial-') as cache:
        hooks: list[AttackHook] = []
        for index, condition in enumerate(conditions):
            cache_dir = Path(cache) / str(index) if condition.attack and len(purifier) > 1 else None
            hook = AttackHook(condition.attack, condition.source, seed=seed, quantize=quantize, cache_dir=cache_dir)
            hooks.append(hook)
            runner.register_hook(hook, priority='NORMAL')
        try:
            for condition, hook in zip(conditions, hooks):
                for enabled in purifier:
                    for other in hooks:
                        other.stages = ('test',) if other is hook else ()
                    if isinstance(preprocessor, Purifier):
                        preprocessor.enabled = enabled
                    metrics = runner.test()
                    results.append(_result(condition, enabled, metrics))
                hook.release()
        finally:
            # The runner's next test is its own again.
            for hook in hooks:
                runner.hooks.remove(hook)
            if isinstance(preprocessor, Purifier):
                preprocessor.enabled = True
    return results


def _work_dir(runner: Runner) -> Union[str, Path]:
    Path(runner.work_dir).mkdir(parents=True, exist_ok=True)
    return runner.work_dir


def _result(condition: Condition, enabled: bool, metrics: dict) -> Result:
    measured = {name: value for name, value in metrics.items() if name.startswith(MEASURED)}
    scores = {name: value for name, value in metrics.items() if not name.startswith(MEASURED)}
    # Some metrics also return values of each class or a confusion matrix.
    numbers = {name: float(value) for name, value in scores.items() if np.ndim(value) == 0}
    finite = {name: value if math.isfinite(value) else None for name, value in measured.items()}
    return Result(condition, enabled, numbers, finite)


def main_metric(results: Sequence[Result]) -> str:
    """The name of the number that a table shows."""
    names = list(results[0].metrics)
    for name in MAIN_METRICS:
        if name in names:
            return name
    return names[0]
