"""A dry run of the GPU suite on a CPU, with tiny networks."""

import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def run(load_script, monkeypatch):
    """Run the suite in this process; its steps have processes of their own."""

    def run(out: Path, *arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', ['gpu_suite.py', '--tiny', '--device', 'cpu', '--out', str(out), *arguments])
        load_script('gpu_suite').main()

    return run


def test_every_step_is_recorded(run, tmp_path, capsys):
    run(tmp_path, '--only', 'steps', '--minutes', '8')
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['machine']['card'] == 'CPU' and report['tiny'] is True
    (step,) = report['steps']
    assert step['name'] == 'step_resnet20_cifar10_align' and step['status'] == 'passed', capsys.readouterr()
    assert step['numbers']['ms ours'] > 0 and step['numbers']['released / ours'] > 0
    assert '| step_resnet20_cifar10_align | passed' in (tmp_path / 'report.md').read_text()


def test_what_does_not_fit_is_left_out(run, tmp_path, capsys):
    run(tmp_path, '--only', 'tests', '--minutes', '0.01')
    (step,) = json.loads((tmp_path / 'report.json').read_text())['steps']
    assert step['status'] == 'left out' and step['note'] == 'no time left', capsys.readouterr()
