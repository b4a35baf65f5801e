"""Score one model under several conditions, without and with its purifier, by the host's own metric."""

from __future__ import annotations

import logging
import math
import tempfile
from pathlib import Path
from typing import Any, Optional, Sequence, Union

import numpy as np
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..hooks import NEEDS_PURIFIER, AttackHook, CannotRun, ErrorAmplificationHook
from ..models import unwrap
from ..purifiers import Purifier, switched
from .cautions import cautions
from .example_images import ExampleImagesHook
from .results import Condition, Result
from .statistics import bootstrap_interval

MEASURED = ('perturbation/', 'purified/', 'attack/', 'source/')
AMPLIFICATION = 'amplification/'


def evaluate(
    runner: Runner,
    conditions: Sequence[Condition],
    purifier: Sequence[bool] = (False, True),
    seed: int = 0,
    quantize: bool = False,
) -> list[Result]:
    """Run the test loop once for every condition, without and with the purifier.

    Both meet the very same adversarial images, unless the attacker knows the purifier. A model without a purifier is
    scored without only, and an attack on the purifier with it only.

    Args:
        runner: with a test loop; its checkpoint is loaded by the first run.
        conditions: what to do to the images.
        purifier: which of without and with.
        seed: of the attacks.
        quantize: round adversarial images to whole pixels.

    Raises:
        CannotRun: for a condition that means nothing for this model.
    """
    preprocessor = unwrap(runner.model).data_preprocessor
    if not isinstance(preprocessor, Purifier):
        purifier = (False,)
    for condition in conditions:
        if condition.threat_model in NEEDS_PURIFIER and True not in purifier:
            raise CannotRun(f'{condition.threat_model} attacks the purifier, and there is none that is enabled')
    results = []
    with tempfile.TemporaryDirectory(dir=_work_dir(runner), prefix='adversarial-') as cache:
        for condition in conditions:
            for enabled in purifier:
                if condition.threat_model in NEEDS_PURIFIER and not enabled:
                    continue
                with switched(preprocessor, enabled):
                    result = score(runner, condition, seed, quantize, cache)
                clean = next((r for r in results if r.purifier == enabled and r.condition.attack is None), None)
                note_changes(result, clean)
                results.append(result)
                warn_of(result, results)
    return results


def warn_of(result: Result, others: Sequence[Result]) -> None:
    """Say in the log why an attack may be weaker than it looks, by the results of the same target on clean images."""
    clean = [other.scores['score'] for other in others if other.condition.attack is None and other.scores]
    for line in cautions(result.measured, result.scores.get('images'), clean):
        print_log(f'{result.condition.name}: {line}', 'current', logging.WARNING)


def score(
    runner: Runner,
    condition: Condition,
    seed: int = 0,
    quantize: bool = False,
    cache_dir: Optional[Union[str, Path]] = None,
    layers: Sequence[str] = (),
    num_examples: int = 0,
    hooks: Sequence[Hook] = (),
) -> Result:
    """Run the test loop once, with the model as it is.

    Args:
        runner: left as it was.
        condition: what to do to the images.
        seed: of the attack, and of the interval.
        quantize: round adversarial images to whole pixels.
        cache_dir: of :class:`mmadvdefense.hooks.AttackHook`.
        layers: of :class:`mmadvdefense.hooks.ErrorAmplificationHook`.
        num_examples: how many images to keep.
        hooks: more hooks for this test.

    Returns:
        On the first process; on others without what was measured on images.
    """
    preprocessor = unwrap(runner.model).data_preprocessor
    attack = AttackHook(
        condition.attack,
        threat_model=condition.threat,
        seed=seed,
        quantize=quantize,
        cache_dir=cache_dir,
        stages=('test',),
        score_samples=True,
    )
    examples = ExampleImagesHook(attack, num_examples)
    amplification = ErrorAmplificationHook(layers)
    own = [attack, *([examples] if num_examples else []), *([amplification] if layers else []), *hooks]
    for hook in own:
        runner.register_hook(hook)
    try:
        metrics = runner.test()
    finally:
        # The runner's next test is its own again.
        for hook in own:
            runner.hooks.remove(hook)
        attack.close()
        amplification.close()
    result = _result(condition, metrics)
    result.purifier = isinstance(preprocessor, Purifier) and preprocessor.enabled
    result.defence = type(preprocessor).__name__ if result.purifier else 'none'
    result.samples = attack.samples
    if attack.samples is not None:
        result.scores = _scores(attack.samples, seed)
    if num_examples:
        result.examples = examples.gather()
    return result


def _result(condition: Condition, metrics: dict) -> Result:
    measured = {name: value for name, value in metrics.items() if name.startswith(MEASURED)}
    amplification = {name: value for name, value in metrics.items() if name.startswith(AMPLIFICATION)}
    # Some metrics also return values of each class or a confusion matrix.
    scores = {name: _finite(value) for name, value in metrics.items() if np.ndim(value) == 0}
    return Result(
        condition,
        purifier=False,
        metrics={name: value for name, value in scores.items() if name not in {**measured, **amplification}},
        measured={name: _finite(value) for name, value in measured.items()},
        amplification={name[len(AMPLIFICATION) :]: _finite(value) for name, value in amplification.items()},
    )


def _finite(value: Any) -> Optional[float]:
    """JSON knows neither infinity nor what is not a number."""
    return float(value) if math.isfinite(value) else None


def note_changes(result: Result, clean: Optional[Result]) -> None:
    """Note which images an attack made the model decide otherwise than on the clean ones, and what share they are.

    Args:
        result: gains the column ``changed`` and the score of that name.
        clean: of the same model; nothing is noted without it.
    """
    if clean is None or clean.samples is None or result.samples is None or result.condition.attack is None:
        return
    pairs = zip(result.samples['decision'], clean.samples['decision'])
    result.samples['changed'] = [ours != theirs for ours, theirs in pairs]
    result.scores['changed'] = 100 * float(np.mean(result.samples['changed']))


def _scores(samples: dict[str, list], seed: int) -> dict:
    interval = bootstrap_interval(samples['score'], seed)
    return {
        'images': len(samples['score']),
        'right': 100 * float(np.mean(samples['right'])),
        'score': 100 * float(np.mean(samples['score'])),
        'interval': [100 * bound for bound in interval],
        'changed': None,
    }


def _work_dir(runner: Runner) -> Union[str, Path]:
    Path(runner.work_dir).mkdir(parents=True, exist_ok=True)
    return runner.work_dir
