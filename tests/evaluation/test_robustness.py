"""One model under several conditions, without and with its purifier: the same images, and no trace left behind."""

from __future__ import annotations

import copy
import itertools
from typing import Any, Callable

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS, MODELS, DefaultScope
from mmengine.runner import Runner
from torch import nn

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.attacks import Attack
from mmadvdefense.evaluation import Condition, evaluate, main_metric
from mmadvdefense.hooks import AttackHook
from mmadvdefense.purifiers import Purifier
from mmadvdefense.registry import ATTACKS
from mmadvdefense.threats import UnsupportedAttackError

pytest.importorskip('mmpretrain')

_serial = itertools.count()
TARGET = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=64),
)
NATIVE = dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)
GENERATOR = dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1)
FGSM = dict(type='FGSM', eps=4)
BUDGET = dict(eps=8, step_size=4, steps=2)
PGD = dict(type='PGD', **BUDGET)


@METRICS.register_module(force=True)
class ManyNumbers(BaseMetric):
    """A number, and what is none."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list) -> dict:
        numbers = {'score': 1.5, 'undefined': float('nan'), 'tensor': torch.tensor(3.0)}
        return {**numbers, 'classwise': [1.0, 2.0], 'matrix': torch.eye(3)}


@ATTACKS.register_module(force=True)
class BlacksOutAndBreaks(Attack):
    """Black images first; the second batch, of two, ends it."""

    def perturb(self, batch):
        if len(batch) == 2:
            raise IndexError('index -4 is out of bounds')
        return torch.zeros_like(batch.clean)


@pytest.fixture
def make_runner(tmp_path, quick_runners) -> Callable[..., Runner]:
    def make(purifier: bool = True, trained: bool = True, metric: str = 'Accuracy') -> Runner:
        preprocessor = dict(type='AlignPurifier', generator=GENERATOR, **NATIVE) if purifier else NATIVE
        with DefaultScope.overwrite_default_scope('mmpretrain'), torch.random.fork_rng():
            torch.manual_seed(0)
            model = MODELS.build(copy.deepcopy(dict(TARGET, data_preprocessor=preprocessor)))
            nn.init.normal_(model.head.fc.weight, std=0.3)
        if purifier:
            model.data_preprocessor.num_updates += trained
        return Runner(
            model,
            work_dir=str(tmp_path / 'work'),
            test_dataloader=dict(
                batch_size=4,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='default_collate'),
                dataset=dict(type='HandwrittenDigits', split='test', indices=6, pipeline=[dict(type='PackInputs')]),
            ),
            test_cfg=dict(),
            test_evaluator=dict(type=metric),
            default_scope='mmpretrain',
            experiment_name=f'evaluate_{next(_serial)}',
            log_level='WARNING',
        )

    return make


CONDITIONS = [
    Condition('clean'),
    Condition('FGSM', FGSM, threat_model='gray-box'),
    Condition('PGD', PGD, threat_model='gray-box'),
]


def test_conditions_times_purifier(make_runner, tmp_path):
    runner = make_runner()
    hooks = list(runner.hooks)
    results = evaluate(runner, CONDITIONS)
    assert [(result.condition.name, result.purifier) for result in results] == [
        (name, purifier) for name in ('clean', 'FGSM', 'PGD') for purifier in (False, True)
    ]
    for without, with_ in zip(results[::2], results[1::2]):
        assert (without.defense, with_.defense) == ('none', 'AlignPurifier')
        for name in ('linf_mean', 'linf_max', 'l2_mean', 'l2_max'):
            assert without.measured[f'perturbation/{name}'] == with_.measured[f'perturbation/{name}']
        assert without.measured['purified/psnr'] != with_.measured['purified/psnr']
        assert list(without.metrics) == ['accuracy/top1']
    assert [result.measured['perturbation/linf_max'] for result in results[::2]] == pytest.approx([0, 4, 8], abs=1e-3)
    assert results[0].measured['purified/psnr'] is None, 'equal images; JSON knows no infinity'
    assert [result.measured.get('attack/queries_mean') for result in results[::2]] == [None, 1, 2]
    # The runner is as it was, and its next test is its own.
    assert runner.hooks == hooks and runner.model.data_preprocessor.enabled
    assert not [path for path in (tmp_path / 'work').iterdir() if path.name.startswith('adversarial-')]
    assert list(runner.test()) == ['accuracy/top1']


def test_what_cannot_run_is_refused_before_any_image(make_runner, monkeypatch):
    runner = make_runner()
    tests = []
    monkeypatch.setattr(runner, 'test', lambda: tests.append(1))
    parts_of_a_detector = Condition('BIM', dict(type='PGD', objective='cls', **BUDGET), threat_model='gray-box')
    no_draws = Condition('PGD', PGD, threat_model=dict(name='adaptive-eot', eot_samples=2))
    for condition, reason in (
        (parts_of_a_detector, "losses of a classification model have no part 'cls'"),
        (no_draws, 'AlignPurifier is not random'),
    ):
        with pytest.raises(UnsupportedAttackError, match=reason):
            evaluate(runner, [*CONDITIONS, condition])
    assert not tests


def test_single_images(make_runner):
    """Their share is the task's own metric; what an attack changed shows against the clean images of the same model."""
    strong = dict(type='PGD', eps=150, step_size=50, steps=4)
    results = evaluate(make_runner(), [*CONDITIONS, Condition('strong', strong, threat_model='gray-box')])
    clean = {result.purifier: result.samples['decision'] for result in results[:2]}
    for result in results:
        scores, samples = result.scores, result.samples
        assert scores['images'] == 6 and len(samples['image']) == 6
        assert scores['correct'] == scores['score'] == pytest.approx(result.metrics['accuracy/top1'])
        low, high = scores['interval']
        assert 0 <= low <= scores['score'] <= high <= 100
        assert low < high or scores['score'] in (0, 100)
        if result.condition.attack is None:
            assert scores['changed'] is None and 'changed' not in samples
        else:
            changed = [a != b for a, b in zip(samples['decision'], clean[result.purifier])]
            assert samples['changed'] == changed
            assert scores['changed'] == pytest.approx(100 * sum(changed) / 6)
    assert any(result.scores['changed'] for result in results)
    assert 'samples' not in results[0].as_dict()


def test_attackers_who_know_the_purifier(make_runner):
    """Without it there is nothing for them to attack; with it their images are others."""
    conditions = [
        Condition('gray-box', PGD, threat_model='gray-box'),
        Condition('full', PGD, threat_model='adaptive'),
        Condition('bpda', PGD, threat_model='adaptive-bpda'),
    ]
    results = evaluate(make_runner(), conditions)
    assert [(result.condition.name, result.purifier) for result in results] == [
        ('gray-box', False), ('gray-box', True), ('full', True), ('bpda', True)
    ]  # fmt: skip
    sizes = [result.measured['perturbation/l2_mean'] for result in results]
    assert sizes[0] == sizes[1] and len(set(sizes)) == 3
    runner = make_runner(purifier=False)
    with pytest.raises(UnsupportedAttackError, match='adaptive attacks the purifier, and there is none'):
        evaluate(runner, conditions)


def test_twice_with_one_runner(make_runner):
    runner = make_runner()
    first, second = (evaluate(runner, CONDITIONS[1:2], purifier=(True,)) for _ in range(2))
    assert first[0].as_dict() == second[0].as_dict()


def test_a_model_without_a_purifier(make_runner):
    results = evaluate(make_runner(purifier=False), CONDITIONS)
    assert [(result.purifier, result.defense) for result in results] == [(False, 'none')] * 3


def test_both_see_the_same_images(make_runner, monkeypatch):
    """The rows differ in what the purifier makes of them, not in the attack."""
    runner = make_runner()
    seen: list = []

    original = Purifier.forward

    def record(self, data, training=False):
        seen.append(torch.as_tensor(data['inputs']).clone())
        return original(self, data, training)

    monkeypatch.setattr(Purifier, 'forward', record)
    evaluate(runner, CONDITIONS[2:])
    without, with_ = seen[:2], seen[2:]
    assert all(torch.equal(a, b) for a, b in zip(without, with_)) and len(without) == len(with_) == 2


def test_an_error_leaves_nothing_behind(make_runner):
    runner = make_runner(trained=False)
    with pytest.raises(RuntimeError, match='untrained'):
        evaluate(runner, CONDITIONS)
    assert not any(isinstance(hook, AttackHook) for hook in runner.hooks)
    assert runner.model.data_preprocessor.enabled


def test_an_attack_that_ends_in_an_error_costs_its_own_row(make_runner):
    """What its first batch left in the metric is not counted in the next row."""
    broken = Condition('broken', dict(type='BlacksOutAndBreaks', eps=255), threat_model='gray-box')
    runner = make_runner()
    results = evaluate(runner, [CONDITIONS[0], broken, CONDITIONS[1]])
    assert [(result.purifier, result.reason) for result in results[2:4]] == [
        (enabled, 'IndexError: index -4 is out of bounds') for enabled in (False, True)
    ]
    assert all("raise IndexError('index -4" in result.error for result in results[2:4])
    alone = evaluate(make_runner(), CONDITIONS[:2])
    assert [result.as_dict() for result in results[:2] + results[4:]] == [result.as_dict() for result in alone]
    assert not any(isinstance(hook, AttackHook) for hook in runner.hooks)


def test_metrics_that_are_no_numbers(make_runner):
    (result,) = evaluate(make_runner(purifier=False, metric='ManyNumbers'), CONDITIONS[:1])
    assert result.metrics == {'score': 1.5, 'undefined': None, 'tensor': 3.0}
    assert main_metric([result]) == 'score'
