"""Score one model under several conditions, without and with its purifier, by the host's own metric."""

from __future__ import annotations

import logging
import math
import tempfile
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence, Union

import numpy as np
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..attacks import build_attack
from ..hooks import AttackHook, ErrorAmplificationHook
from ..hooks.defense_draws import DefenseDrawsHook
from ..hooks.example_images import ExampleImagesHook
from ..models import unwrap
from ..purifiers import Purifier, switched
from ..tasks.sample_scores import ERRORS
from ..threats import NEEDS_PURIFIER, UnsupportedAttackError
from ..threats.sources import fitting_source
from .cautions import cautions
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

    Both face the same adversarial images unless the attacker knows the purifier. A model that has no purifier is scored
    without one only. Without it, an adaptive attacker is a gray-box attacker and scored as such, unless there is that
    condition already. One who has nothing but a purifier of its own is scored with the purifier only.

    Args:
        runner: with a test loop; its checkpoint is loaded by the first run.
        conditions: what to do to the images.
        purifier: whether to test without the purifier, with it, or both.
        seed: of the attacks.
        quantize: round adversarial images to whole pixels.

    Raises:
        UnsupportedAttackError: for a condition that is meaningless for this model.
    """
    model = unwrap(runner.model)
    preprocessor = model.get_submodule('data_preprocessor')
    if not isinstance(preprocessor, Purifier):
        purifier = (False,)
    for condition in conditions:
        if condition.threat_model is None or condition.attack is None:
            continue
        if _needs_purifier(condition) and True not in purifier:
            raise UnsupportedAttackError(
                f'{condition.threat_model.name} attacks the purifier, and there is none that is enabled'
            )
        # Before the passes over the data, not after those of the conditions before this one.
        fitting_source(build_attack(condition.attack), condition.threat_model, model)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(dir=_work_dir(runner), prefix='adversarial-') as cache:
        for condition, undefended in zip(conditions, _without_purifier(conditions)):
            for enabled in purifier:
                tested = condition if enabled else undefended
                if tested is None:
                    continue
                with switched(preprocessor, enabled):
                    result = score(runner, tested, seed, quantize, cache)
                clean = next((r for r in results if r.purifier == enabled and r.condition.attack is None), None)
                note_changes(result, clean)
                results.append(result)
                warn_of(result, results)
    return results


def _needs_purifier(condition: Condition) -> bool:
    return condition.threat_model is not None and condition.threat_model.name in NEEDS_PURIFIER


def _without_purifier(conditions: Sequence[Condition]) -> list[Optional[Condition]]:
    """Each condition for the model without its purifier; None if it is meaningless there, or the same as another."""
    found: list[Optional[Condition]] = []
    for condition in conditions:
        threat = condition.threat_model and condition.threat_model.without_purifier()
        if threat == condition.threat_model:
            found.append(condition)
            continue
        known = [(other.attack, other.threat_model) for other in (*conditions, *found) if other is not None]
        repeated = threat is None or (condition.attack, threat) in known
        found.append(None if repeated else Condition(condition.name, condition.attack, threat))
    return found


def warn_of(result: Result, others: Sequence[Result]) -> None:
    """Log why an attack may be weaker than it looks.

    Args:
        result: of the attack.
        others: results of the same target, among them those on clean images.
    """
    known = [other.scores for other in others if other.condition.attack is None]
    clean = [scores['score'] for scores in known if scores.get('score') is not None]
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
    defense_samples: int = 1,
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
        defense_samples: number of draws of a random purifier that the images are tested on.

    Returns:
        The complete result on the first process; on others, it lacks what was measured on images. If the attack itself
        fails, it holds the reason and the traceback instead of numbers. With several processes, such an error is
        raised, since the others would wait for this one.
    """
    preprocessor = unwrap(runner.model).data_preprocessor
    attack = AttackHook(
        condition.attack,
        threat_model=condition.threat_model,
        seed=seed,
        quantize=quantize,
        cache_dir=cache_dir,
        stages=('test',),
        score_samples=True,
    )
    examples = ExampleImagesHook(attack, num_examples)
    amplification = ErrorAmplificationHook(layers)
    random = isinstance(preprocessor, Purifier) and preprocessor.enabled and preprocessor.is_random
    draws = DefenseDrawsHook(defense_samples) if random and defense_samples > 1 else None
    own = [attack, *([examples] if num_examples else []), *([amplification] if layers else []), *hooks]
    own += [draws] if draws else []
    try:
        with _registered(runner, own):
            result = _result(condition, runner.test())
    except Exception as error:
        if not attack.crafting or get_world_size() > 1:
            raise
        result = failed(condition, error)
    finally:
        attack.close()
        amplification.close()
    result.purifier = isinstance(preprocessor, Purifier) and preprocessor.enabled
    result.defense = type(preprocessor).__name__ if result.purifier else 'none'
    if result.reason is not None:
        return result
    result.samples = attack.samples
    if attack.samples is not None:
        result.scores = {**_scores(attack.samples, seed), 'unscored': attack.unscored}
    if draws is not None and draws.samples is not None and result.samples is not None:
        result.samples.update(draws.samples)
        result.scores['draws'] = {'number': draws.number, **_draws(draws.samples)}
    if num_examples:
        result.examples = examples.gather()
    return result


@contextmanager
def _registered(runner: Runner, hooks: Sequence[Hook]) -> Iterator[None]:
    """Hooks for one test alone: the runner's next test is its own again."""
    for hook in hooks:
        runner.register_hook(hook)
    try:
        yield
    finally:
        for hook in hooks:
            runner.hooks.remove(hook)
        _drop_gathered(runner)


def _drop_gathered(runner: Runner) -> None:
    """Drop predictions of an interrupted test, which its metrics still hold and would count in the next test."""
    evaluator = getattr(runner._test_loop, 'evaluator', None)
    for metric in evaluator.metrics if evaluator is not None else ():
        metric.results.clear()


def _result(condition: Condition, metrics: dict) -> Result:
    measured = {name: value for name, value in metrics.items() if name.startswith(MEASURED)}
    amplification = {name: value for name, value in metrics.items() if name.startswith(AMPLIFICATION)}
    # Some metrics also return a value for each class, or a confusion matrix.
    scores = {name: _finite(value) for name, value in metrics.items() if np.ndim(value) == 0}
    return Result(
        condition,
        purifier=False,
        metrics={name: value for name, value in scores.items() if name not in {**measured, **amplification}},
        measured={name: _finite(value) for name, value in measured.items()},
        amplification={name[len(AMPLIFICATION) :]: _finite(value) for name, value in amplification.items()},
    )


def _finite(value: Any) -> Optional[float]:
    """JSON has neither infinity nor NaN."""
    return float(value) if math.isfinite(value) else None


def failed(condition: Condition, error: Exception) -> Result:
    """A result without numbers because of an error, whose traceback also goes to the log."""
    trace = ''.join(traceback.format_exception(type(error), error, error.__traceback__))
    if isinstance(error, UnsupportedAttackError):
        return Result(condition, purifier=False, reason=str(error))
    print_log(f'{condition.name}:\n{trace}', 'current', logging.ERROR)
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    return Result(condition, purifier=False, reason=reason, error=trace)


def _draws(samples: dict[str, list]) -> dict[str, Optional[float]]:
    columns = {'worst': samples['worst_draw'], 'majority': samples['majority']}
    return {name: _percent([flag for flag in column if flag is not None]) for name, column in columns.items()}


def note_changes(result: Result, clean: Optional[Result]) -> None:
    """Note on which images the model's decision differs from that on the clean image, and their share.

    Args:
        result: gains the column ``changed`` and the score of that name.
        clean: of the same model; without it, nothing is noted.
    """
    if clean is None or clean.samples is None or result.samples is None or result.condition.attack is None:
        return
    pairs = zip(result.samples['decision'], clean.samples['decision'])
    changed = [None if None in pair else pair[0] != pair[1] for pair in pairs]
    result.samples['changed'] = changed
    result.scores['changed'] = _percent([flag for flag in changed if flag is not None])


def _scores(samples: dict[str, list], seed: int) -> dict:
    scores = [score for score in samples['score'] if score is not None]
    return {
        'images': len(samples['score']),
        'without_truth': len(samples['score']) - len(scores),
        'correct': _percent([correct for correct in samples['correct'] if correct is not None]),
        'score': _percent(scores),
        'interval': [100 * bound for bound in bootstrap_interval(scores, seed)] if scores else None,
        'changed': None,
        **_errors(samples),
    }


def _errors(samples: dict[str, list]) -> dict:
    """The number of errors of each type over all images, for detection."""
    columns = {name[len(ERRORS) :]: column for name, column in samples.items() if name.startswith(ERRORS)}
    counts = {name: sum(number for number in column if number is not None) for name, column in columns.items()}
    return {'errors': counts} if counts else {}


def _percent(values: Sequence[float]) -> Optional[float]:
    return 100 * float(np.mean(values)) if values else None


def _work_dir(runner: Runner) -> Union[str, Path]:
    Path(runner.work_dir).mkdir(parents=True, exist_ok=True)
    return runner.work_dir
