"""A dry run of the GPU suite on a CPU, with tiny networks."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(out: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, 'benchmarks/gpu_suite.py', '--tiny', '--device', 'cpu', '--out', str(out), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540)


def test_every_step_is_recorded(tmp_path):
    done = run(tmp_path, '--only', 'steps', '--minutes', '8')
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['machine']['card'] == 'CPU' and report['tiny'] is True
    (step,) = report['steps']
    assert step['name'] == 'step_resnet20_cifar10_align' and step['status'] == 'passed', done.stdout
    assert step['numbers']['ms ours'] > 0 and step['numbers']['released / ours'] > 0
    assert '| step_resnet20_cifar10_align | passed' in (tmp_path / 'report.md').read_text()


def test_what_does_not_fit_is_left_out(tmp_path):
    done = run(tmp_path, '--only', 'tests', '--minutes', '0.01')
    (step,) = json.loads((tmp_path / 'report.json').read_text())['steps']
    assert step['status'] == 'left out' and step['note'] == 'no time left', done.stdout
