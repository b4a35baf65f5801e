"""A dry run of the GPU suite on a CPU, with tiny networks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fixtures.scripts import run_in_child


class Forked:
    """In the place of ``subprocess.Popen``: a process that need not import the hosts again."""

    def __init__(self, command, cwd, stdout, env, **_):
        script, log = Path(cwd, command[1]), Path(stdout.name)
        assert command[0] == sys.executable and script.is_file()
        self.pid = os.fork()
        if not self.pid:
            os.chdir(cwd)
            sys.path.insert(0, str(script.parent))
            torch.set_num_threads(1)
            run_in_child(script, command[2:], log, log, env)

    def wait(self, timeout=None) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def run(load_script, monkeypatch):
    """Run the suite in this process."""

    def run(out: Path, *arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', ['gpu_suite.py', '--tiny', '--device', 'cpu', '--out', str(out), *arguments])
        suite = load_script('gpu_suite')
        forking = SimpleNamespace(Popen=Forked, STDOUT=subprocess.STDOUT, TimeoutExpired=subprocess.TimeoutExpired)
        monkeypatch.setattr(sys.modules['timed_steps'], 'subprocess', forking)
        suite.main()

    return run


def test_every_step_is_recorded(run, tmp_path, capsys):
    run(tmp_path, '--only', 'steps', '--minutes', '8')
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['machine']['card'] == 'CPU' and report['tiny'] is True
    (step,) = report['steps']
    said = (tmp_path / f'{step["name"]}.log').read_text()
    assert step['name'] == 'step_resnet20_cifar10_align' and step['status'] == 'passed', said
    assert step['numbers']['ms ours'] > 0 and step['numbers']['released / ours'] > 0
    assert '| step_resnet20_cifar10_align | passed' in (tmp_path / 'report.md').read_text()


def test_what_does_not_fit_is_left_out(run, tmp_path, capsys):
    run(tmp_path, '--only', 'tests', '--minutes', '0.01')
    (step,) = json.loads((tmp_path / 'report.json').read_text())['steps']
    assert step['status'] == 'left out' and step['note'] == 'no time left', capsys.readouterr()
