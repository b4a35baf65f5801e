"""Runs commands one after the other within a time budget, and reports after each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Callable, Optional

import torch

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Outcome:
    """The outcome of a step."""

    name: str
    status: str
    seconds: float
    numbers: dict = field(default_factory=dict)
    note: str = ''


class Suite:
    """Runs steps within a time budget and records their outcomes.

    Args:
        out: folder for reports, logs and checkpoints.
        minutes: time for all steps together.
        device: ``'cuda'`` or ``'cpu'``.
        tiny: use small networks and few iterations, to try out the suite itself.
    """

    def __init__(self, out: Path, minutes: float, device: str, tiny: bool):
        self.out, self.device, self.tiny = out, device, tiny
        self.deadline = time.monotonic() + 60 * minutes
        self.outcomes: list[Outcome] = []
        out.mkdir(parents=True, exist_ok=True)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def run(self, name: str, command: list[str], limit: float, read: Optional[Callable[[str], dict]] = None) -> Outcome:
        """Run one process, with its output in ``<name>.log``.

        Args:
            name: of the step.
            command: program and arguments.
            limit: seconds after which the process is killed.
            read: extracts numbers from the log.
        """
        limit = min(limit, self.left)
        if limit < 5:
            return self.record(Outcome(name, 'left out', 0.0, note='no time left'))
        begin = time.monotonic()
        log = self.out / f'{name}.log'
        process = self.start(command, log)
        try:
            code = process.wait(limit)
            status, note = ('passed', '') if code == 0 else (f'failed ({code})', last_line(log))
        except subprocess.TimeoutExpired:
            self.stop(process)
            status, note = 'cut off', f'after {limit:.0f} s'
        numbers = read(log.read_text(errors='replace')) if read else {}
        return self.record(Outcome(name, status, time.monotonic() - begin, numbers, note))

    def start(self, command: list[str], log: Path) -> subprocess.Popen:
        threads = {'OMP_NUM_THREADS': '2'} if self.device == 'cuda' else {}
        environment = {**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}', **threads}
        with open(log, 'w') as file:
            return subprocess.Popen(
                command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )

    def stop(self, process: subprocess.Popen) -> None:
        # The whole group: data loaders are child processes.
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            return
        process.wait()

    def record(self, outcome: Outcome) -> Outcome:
        self.outcomes.append(outcome)
        print(f'{outcome.name}: {outcome.status}, {outcome.seconds:.0f} s {outcome.note} {outcome.numbers}', flush=True)
        self.write()
        return outcome

    def write(self) -> None:
        """Write both reports, under temporary names first."""
        card = torch.cuda.get_device_name() if self.device == 'cuda' else 'CPU'
        machine = dict(card=card, torch=torch.__version__, python=sys.version.split()[0])
        report = dict(machine=machine, tiny=self.tiny, steps=[asdict(outcome) for outcome in self.outcomes])
        lines = [f'{card}, torch {torch.__version__}' + (', tiny' if self.tiny else ''), '']
        lines += ['| step | outcome | seconds | numbers |', '|---|---|---|---|']
        for outcome in self.outcomes:
            numbers = ', '.join(f'{key} {_short(value)}' for key, value in outcome.numbers.items())
            lines.append(f'| {outcome.name} | {outcome.status} {outcome.note} | {outcome.seconds:.0f} | {numbers} |')
        for name, text in (('report.json', json.dumps(report, indent=2)), ('report.md', '\n'.join(lines) + '\n')):
            temporary = self.out / f'{name}.tmp'
            temporary.write_text(text)
            temporary.replace(self.out / name)


def _short(value) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors='replace').splitlines() if line.strip()]
    return lines[-1][:160].replace('|', '/') if lines else 'no output'
