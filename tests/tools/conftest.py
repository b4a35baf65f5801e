"""The command-line tools, in this process (importing a host takes seconds) or in one of their own."""

from __future__ import annotations

import os
import re
import runpy
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest
import torch
from fixtures.scripts import run_in_child
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer
from torch import nn

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools'

CONFIG = """
_base_ = [
    '{root}/configs/_base_/models/digits_target.py',
    '{root}/configs/_base_/datasets/digits.py',
    '{root}/configs/_base_/default_runtime.py',
]
custom_imports = dict(imports=['mmadvdefense', 'hooks_for_tests'], allow_failed_imports=False)
load_from = '{checkpoint}'
log_level = 'WARNING'
data_preprocessor = dict(
    type='AlignPurifier',
    generator=dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1),
    discriminator=dict(type='MultiscaleDiscriminator', base_channels=4, num_layers=1, num_scales=1))
custom_hooks = [
    dict(
        type='PurifierTrainHook',
        attack=dict(type='PGD', eps=8, step_size=4, steps=1),
        losses=[dict(type='PixelReconstructionLoss', loss_weight=50.0), dict(type='LSGANLoss')])
]
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.0, begin=2, end=4, by_epoch=True, convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=4, val_interval=100)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64)
train_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=8))
val_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=7))
test_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=7))
"""

HOOKS = '''
import os
import signal

import torch
from mmengine.config import config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

# As in the tests' own process, see plain_config_text.
config.FormatCode = lambda text, **_: (text, True)


@HOOKS.register_module(force=True)
class KillAfter(Hook):
    """kill -9 in the middle of an epoch."""

    priority = 'LOWEST'

    def __init__(self, iterations):
        self.iterations = iterations

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iterations:
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module(force=True)
class SaveRanks(Hook):
    """What each rank ends with, and what becomes of a statistic that each has for itself."""

    def before_train(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        statistic = torch.tensor([float(get_rank())])
        model.data_preprocessor.generator.register_buffer('statistic', statistic)

    def after_train(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        torch.save(model.state_dict(), f'{runner.work_dir}/rank_{get_rank()}.pth')
'''


@dataclass
class Finished:
    """How a tool ended and what it said."""

    code: Any
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that a tool exits with."""
        text = self.code if isinstance(self.code, str) else self.err.strip().splitlines()[-1]
        assert text.startswith('error: '), self
        assert '\n' not in text
        return text


def _target(num_classes: int = 10, seed: int = 0) -> dict:
    from mmengine.config import Config

    from mmadvdefense.models import build_model

    config = Config.fromfile(ROOT / 'configs' / 'target' / 'digits_target.py')
    config.model.head.num_classes = num_classes
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(config)
        nn.init.normal_(model.head.fc.weight, std=0.3)
    return {name: value for name, value in model.state_dict().items() if not name.startswith('data_preprocessor')}


@pytest.fixture(scope='session')
def save_target(tmp_path_factory) -> Callable[..., str]:
    """Random weights of the digits' target."""

    def save(**settings: int) -> str:
        path = tmp_path_factory.mktemp('target') / 'target.pth'
        torch.save({'state_dict': _target(**settings)}, path)
        return str(path)

    return save


@pytest.fixture(scope='session')
def target_checkpoint(save_target) -> str:
    return save_target()


@pytest.fixture
def config(tmp_path, target_checkpoint) -> Path:
    """A small defense of the built-in digits: four epochs of two iterations."""
    path = tmp_path / 'defense.py'
    path.write_text(CONFIG.format(root=ROOT, checkpoint=target_checkpoint))
    return path


@pytest.fixture
def trained(config, tmp_path) -> Path:
    """A checkpoint of the protected model, as training writes it, with a generator that has learnt nothing."""
    from mmadvdefense.models import build_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(str(config))
    checkpoint = torch.load(re.search(r"load_from = '(.*)'", config.read_text())[1], weights_only=True)
    model.load_state_dict(checkpoint['state_dict'], strict=False)
    model.data_preprocessor.num_updates += 5
    path = tmp_path / 'trained.pth'
    torch.save({'state_dict': model.state_dict(), 'meta': {'epoch': 4}}, path)
    return path


@pytest.fixture
def child(config) -> Callable[..., Path]:
    """A config that inherits from :func:`config`."""

    def write(name: str, text: str) -> Path:
        path = config.with_name(f'{name}.py')
        path.write_text(f"_base_ = './{config.name}'\n{text}\n")
        return path

    return write


@pytest.fixture
def hooks_for_tests(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / 'modules'
    folder.mkdir()
    (folder / 'hooks_for_tests.py').write_text(HOOKS)
    monkeypatch.syspath_prepend(str(folder))
    # Another checkout may be the one that is installed.
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(folder), str(ROOT)]))
    return folder


def _forget_runs() -> None:
    """Runs of one process and second share their names, and with them what these managers keep."""
    for manager in (MessageHub, MMLogger, Visualizer):
        manager._instance_dict.clear()


@pytest.fixture
def run_tool(tmp_path, monkeypatch, capfd, hooks_for_tests) -> Callable[..., Finished]:
    """Run ``tools/NAME.py`` with these arguments in this process, from ``tmp_path``."""
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('mmengine.utils.dl_utils.collect_env', lambda: {})
    monkeypatch.setattr('mmengine.runner.runner.collect_env', lambda: {}, raising=False)
    threads = torch.get_num_threads()
    # As many as a process of its own has in these tests: sums depend on it.
    torch.set_num_threads(1)

    def run(name: str, *arguments: Any) -> Finished:
        _forget_runs()
        monkeypatch.setenv('LOCAL_RANK', '0')
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        capfd.readouterr()
        code: Any = 0
        try:
            runpy.run_path(str(TOOLS / f'{name}.py'), run_name='__main__')
        except SystemExit as exit_:
            code = exit_.code
        return Finished(code, *capfd.readouterr())

    yield run
    torch.set_num_threads(threads)
    _forget_runs()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


@pytest.fixture
def run_forked(run_tool, tmp_path) -> Callable[..., Finished]:
    """Run ``tools/NAME.py`` in processes of their own that need not import the hosts again.

    ``ranks`` are those that a launcher would start; code and text are those of the first.
    """

    def run(name: str, *arguments: Any, ranks: int = 1) -> Finished:
        _forget_runs()
        shared = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(_free_port()), WORLD_SIZE=str(ranks))
        logs = [tmp_path / f'rank_{rank}.out' for rank in range(ranks)]
        children = []
        for rank, log in enumerate(logs):
            child = os.fork()
            if not child:
                own = dict(RANK=str(rank), LOCAL_RANK=str(rank)) if ranks > 1 else {}
                environment = {**(shared if ranks > 1 else {}), **own}
                # Which keep counts.
                helpers = ('hooks_for_tests', 'attacks_for_tests')
                run_in_child(TOOLS / f'{name}.py', arguments, log, log.with_suffix('.err'), environment, helpers)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        failed = next((rank for rank, code in enumerate(codes) if code), 0)
        return Finished(codes[failed], logs[0].read_text(), logs[failed].with_suffix('.err').read_text())

    return run
