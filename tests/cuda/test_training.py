"""A training step on a GPU: it never waits, float16 trains, and a run that was cut off goes on."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmadvdefense.training import preparation

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')]
ROOT = Path(__file__).parents[2]
TINY = {
    'model.backbone.depth': 8,
    'data_preprocessor.generator.widths': (4, 8),
    'data_preprocessor.generator.encoder_units': (1, 1),
    'data_preprocessor.generator.decoder_units': (1,),
    'data_preprocessor.discriminator.base_channels': 4,
}


@pytest.fixture(scope='module')
def train_step_benchmark():
    spec = importlib.util.spec_from_file_location('cuda_train_step', ROOT / 'benchmarks' / 'train_step.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def build(train_step_benchmark, tmp_path, **options):
    config = Config.fromfile(ROOT / 'configs' / 'defense' / 'resnet20_cifar10_align.py')
    config.merge_from_dict({**TINY, **options})
    return train_step_benchmark.build_runner(config, size=(16, 16), batch_size=4, device='cuda', work_dir=str(tmp_path))


@pytest.mark.parametrize('threat', ['gray-box', 'adaptive'])
def test_a_step_never_waits_for_the_device(threat, train_step_benchmark, tmp_path):
    runner, hook = build(train_step_benchmark, tmp_path, **{'custom_hooks.0.threat': threat})
    source = train_step_benchmark.batches(runner)
    for index in range(3):
        train_step_benchmark.train_step(runner, hook, next(source), index, train_step_benchmark.StepProbe())
    assert train_step_benchmark.check_synchronization(runner, hook, next(source), 3)


def test_float16_trains_with_a_scaler(train_step_benchmark, tmp_path):
    runner, hook = build(
        train_step_benchmark,
        tmp_path,
        **{'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.loss_scale': 'dynamic'},
    )
    generator = runner.model.data_preprocessor.generator
    before = [parameter.detach().clone() for parameter in generator.parameters()]
    source = train_step_benchmark.batches(runner)
    for index in range(12):
        losses = train_step_benchmark.train_step(runner, hook, next(source), index, train_step_benchmark.StepProbe())
    assert torch.isfinite(losses['loss'])
    assert runner.optim_wrapper.loss_scaler.get_scale() > 0
    changed = [not torch.equal(old, new) for old, new in zip(before, generator.parameters())]
    assert all(changed)
    assert all(torch.isfinite(parameter).all() for parameter in generator.parameters())


def test_a_resumed_run_goes_on(train_step_benchmark, tmp_path):
    pytest.importorskip('sklearn')

    def trained(work: str, epochs: int, **settings):
        config = Config.fromfile(ROOT / 'configs' / 'demo' / 'digits_align.py')
        preparation.enter_scope(config)
        config.train_cfg.max_epochs = epochs
        for stage in ('val', 'test'):
            config[f'{stage}_dataloader'] = config[f'{stage}_evaluator'] = config[f'{stage}_cfg'] = None
        config.update(work_dir=str(tmp_path / work), load_from=None, param_scheduler=None, **settings)
        for hook in config.custom_hooks:
            if hook.type == 'PurifierTrainHook':
                hook.require_checkpoint = False
        config.train_dataloader.dataset.indices = 64
        runner = Runner.from_cfg(config)
        runner.train()
        return runner

    whole = trained('whole', 2)
    trained('parts', 1)
    resumed = trained('parts', 2, resume=True)
    assert next(whole.model.parameters()).is_cuda
    assert resumed.iter == whole.iter > 0
    # The target is random here, and the same in both by the seed; atomics of CUDA add in any order.
    for ours, theirs in zip(
        whole.model.data_preprocessor.generator.parameters(), resumed.model.data_preprocessor.generator.parameters()
    ):
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=5e-3)
