"""What a training step runs, and how often: the cost that the design promises."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
KL = dict(type='PGD', eps=8, step_size=2, steps=3, random_start='normal', objective='kl')
PLAIN = dict(type='BIM', eps=8, step_size=2, steps=2)
TASK_LOSS = dict(type='PGD', eps=8, step_size=2, steps=2, objective='task_loss')
TARGETED = dict(type='PGD', eps=8, step_size=2, steps=2, targeted='least_likely')


def target_runs(probe):
    return {stage: count for (_, stage), count in ((k, v) for k, v in probe.counts.items() if k[0] == 'O')}


@pytest.mark.parametrize('attack', [KL, PLAIN, TASK_LOSS, TARGETED], ids=['kl', 'bim', 'task_loss', 'targeted'])
def test_a_step_runs_each_network_as_often_as_it_must(attack, ready, train_step_benchmark):
    runner, hook = ready({'custom_hooks.0.attack': dict(attack, _delete_=True)})
    source = train_step_benchmark.batches(runner)
    probe = train_step_benchmark.StepProbe()
    with probe.installed(runner):
        for index in range(2):
            train_step_benchmark.train_step(runner, hook, next(source), index, probe)
            steps = index + 1
            # Clean and adversarial images are one batch.
            assert probe.counts['G'] == steps
            # Once for everything: the attack's reference or target, the features of the clean images.
            assert target_runs(probe) == {'attack': attack['steps'] * steps, 'reference': steps, 'O': steps}
            # Once for the generator's loss, on the adversarial half; twice for its own, on either half.
            assert probe.counts['D'] == 3 * steps


def test_no_reference_where_nothing_needs_it(ready, train_step_benchmark):
    losses = [dict(type='PixelReconstructionLoss')]
    runner, hook = ready({'custom_hooks.0.attack': dict(PLAIN, _delete_=True), 'custom_hooks.0.losses': losses})
    probe = train_step_benchmark.StepProbe()
    with probe.installed(runner):
        train_step_benchmark.train_step(runner, hook, next(train_step_benchmark.batches(runner)), 0, probe)
    assert target_runs(probe) == {'attack': 2, 'O': 1}
    assert (probe.counts['G'], probe.counts['D']) == (1, 0)


def test_a_step_trains_the_purifier_and_nothing_else(ready, train_step_benchmark):
    runner, hook = ready()
    purifier = runner.model.data_preprocessor
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    source = train_step_benchmark.batches(runner)
    # The last layer of a residual generator starts at zero, so only the second step trains all of it.
    for index in range(2):
        outputs = train_step_benchmark.train_step(runner, hook, next(source), index, train_step_benchmark.StepProbe())
    changed = {name for name, value in runner.model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split('.')[1] for name in changed} == {'generator', 'discriminator', 'num_updates'}
    assert all(name.startswith('data_preprocessor.') for name in changed)
    trained = {name.removeprefix('data_preprocessor.generator.') for name in changed}
    assert {name for name, _ in purifier.generator.named_parameters()} <= trained
    assert outputs['loss'].isfinite() and 'loss_align' in outputs and 'task_loss' in outputs


def test_probe_leaves_no_trace(ready, train_step_benchmark):
    runner, hook = ready()

    def hooks():
        return [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in runner.model.modules()]

    before, names = hooks(), set(vars(runner.optim_wrapper))
    probe = train_step_benchmark.StepProbe()
    with probe.installed(runner):
        assert hooks() != before
    assert hooks() == before and set(vars(runner.optim_wrapper)) == names
    hook.after_train(runner)
    assert not any(sum(pair) for pair in hooks())


def test_times_add_up_and_the_report_shows_them(ready, train_step_benchmark):
    runner, hook = ready()
    probe, source = train_step_benchmark.StepProbe(), train_step_benchmark.batches(runner)
    with probe.installed(runner):
        for index in range(2):
            train_step_benchmark.train_step(runner, hook, next(source), index, probe)
    assert all(len(times) == 2 for times in probe.seconds.values())
    assert all(min(times) > 0 for times in probe.seconds.values())
    text = train_step_benchmark.report(probe, 2, 0.5, '7 MiB')
    assert '500.0' in text and '7 MiB' in text
    for label in train_step_benchmark.STAGES.values():
        assert label in text
    rows = [line.split('|')[1:3] for line in text.splitlines() if line.count('|') == 3]
    counts = {name.strip(): count.strip() for name, count in rows}
    assert counts['G'] == '1' and counts['D'] == '3'
    assert counts['O in the attack'] == '4' and counts['O on the clean images'] == '1'


def test_a_stage_excludes_the_stages_inside_it(train_step_benchmark, monkeypatch):
    ticks = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    monkeypatch.setattr(train_step_benchmark.time, 'perf_counter', lambda: next(ticks))
    probe = train_step_benchmark.StepProbe()
    with probe.step(), probe.stage('attack'), probe.stage('reference'):
        pass
    # Entered at 0, 1 and 3, left at 6, 10 and 15.
    assert probe.seconds['reference'] == [3.0]
    assert probe.seconds['attack'] == [2.0 + 4.0]
    assert probe.seconds['step'] == [1.0 + 5.0]


@pytest.mark.parametrize('config', ['light_pspnet_camvid_align', 'light_ssd_bccd_align'])
def test_a_step_of_a_dense_model(config, train_step_benchmark, tmp_path):
    """Its synthetic annotations suit the model: CamVid ignores class 11, and detectors ignore none."""
    settings = Config.fromfile(ROOT / 'configs' / 'defense' / f'{config}.py')
    runner, hook = train_step_benchmark.build_runner(settings, (64, 96), 2, 'cpu', str(tmp_path))
    losses = train_step_benchmark.train_step(
        runner, hook, next(train_step_benchmark.batches(runner)), 0, train_step_benchmark.StepProbe()
    )
    assert losses['loss'] > 0
