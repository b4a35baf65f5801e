import importlib.util
import sys
from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config

ROOT = Path(__file__).parents[2]


def _script(name: str):
    """A file of ``benchmarks/`` as a module."""
    spec = importlib.util.spec_from_file_location(f'benchmark_{name}', ROOT / 'benchmarks' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    # Scripts import their neighbors, which Python finds beside a script that it runs.
    with mock.patch.object(sys, 'path', [str(ROOT / 'benchmarks'), *sys.path]):
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def load_script():
    return _script


@pytest.fixture(scope='session')
def train_step_benchmark():
    return _script('train_step')


@pytest.fixture(scope='session')
def released_step():
    return _script('released_step')


@pytest.fixture
def ready(train_step_benchmark, tmp_path):
    """Builds a runner and its hook for a tiny version of a shipped config."""

    def build(options=None, config='defense/resnet20_cifar10_align.py', **kwargs):
        config = Config.fromfile(ROOT / 'configs' / config)
        config.merge_from_dict(
            {
                'model.backbone.depth': 8,
                'data_preprocessor.generator.widths': (4, 8),
                'data_preprocessor.generator.encoder_units': (1, 1),
                'data_preprocessor.generator.decoder_units': (1,),
                'data_preprocessor.discriminator.base_channels': 4,
                **(options or {}),
            }
        )
        return train_step_benchmark.build_runner(
            config, size=(16, 16), batch_size=4, device='cpu', work_dir=str(tmp_path), **kwargs
        )

    return build
