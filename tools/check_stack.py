"""Check which versions work together: make an environment for each combination, run a smoke test in it, write a table.

Each combination is a host of a family (OpenMMLab's own releases, or the maintained fork, whose packages are called
onedl-*), a Python, and the oldest or newest torch that is supported. The smoke test is tools/check_zoo.py on one stock
model. A combination costs minutes and, unless --reuse-torch is given, 5 GB, which are freed again.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Iterator, Optional, Sequence

from _common import UsageError, run

from mmadvdefense.hosts import HOSTS
from mmadvdefense.testing.zoo_configs import zoo_configs

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'stacks.md'
MARKS = ('<!-- stacks -->', '<!-- end of stacks -->')
PYTHONS = ('3.10', '3.12')
# torch and its torchvision, from the oldest on, with the newest Python that has wheels of it.
OLDEST = (('2.0.1', '0.15.2', '3.11'), ('2.2.0', '0.17.0', '3.12'))
# From this torch on, its wheels are made for NumPy 2.
NUMPY_2 = (2, 3)
# mmengine imports pkg_resources, which later ones lack; earlier ones do not know the license of the fork's sources.
SETUPTOOLS = 'setuptools>=77,<81'
# What their hosts import without saying so.
ALSO = {'mmseg': ('ftfy', 'regex')}


@dataclass(frozen=True)
class Family:
    """A family of packages with the same module names.

    Attributes:
        name: in tables.
        packages: the distribution of each module, with its version.
        lite: the distribution that has mmcv without compiled operators; empty if there is none.
    """

    name: str
    packages: dict[str, str]
    lite: str = ''


def _pinned(name: str) -> dict[str, str]:
    """The pins of a file of requirements, by package."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return dict(line.split('==') for line in lines if '==' in line)


def families() -> list[Family]:
    """Both, upstream as this project pins it; of the fork, whatever is newest."""
    pinned = _pinned('mminstall')
    own = {'mmengine': 'mmengine', 'mmcv': 'mmcv', **{scope: host.distribution for scope, host in HOSTS.items()}}
    # The fork's name for the detector library is the long one.
    fork = {module: f'onedl-{"mmdetection" if module == "mmdet" else name}' for module, name in own.items()}
    upstream = {module: f'{name}=={pinned[name]}' for module, name in own.items()}
    return [Family('upstream', upstream, f'mmcv-lite=={pinned["mmcv"]}'), Family('onedl', fork)]


@dataclass(frozen=True)
class Stack:
    """One environment: a host of a family on a Python with a torch; ``torchvision`` is empty if torch is reused."""

    family: Family
    scope: str
    python: str
    torch: str
    torchvision: str

    @property
    def name(self) -> str:
        return f'{self.family.name}-{self.scope}-py{self.python}-torch{self.torch}'

    @property
    def key(self) -> tuple[str, ...]:
        """The first places of its row."""
        return self.family.name, self.scope, self.python, self.torch

    @property
    def config(self) -> str:
        """The stock model of the smoke test."""
        return next(config for config in zoo_configs() if config.startswith(f'{self.scope}::'))

    @property
    def operators(self) -> str:
        """What a build of mmcv reads: compiling them takes ten minutes, and not all hosts need them."""
        return '1' if HOSTS[self.scope].needs_ops else '0'

    def steps(self) -> Iterator[tuple[str, list[str]]]:
        """What pip installs, one step after another: its name, and pip's arguments."""
        old = tuple(map(int, self.torch.split('.')[:2])) < NUMPY_2
        numpy = ['numpy<2' if old else 'numpy>=2']
        if self.torchvision:
            versions = [f'torch=={self.torch}', f'torchvision=={self.torchvision}']
            yield 'torch', [*versions, *numpy, SETUPTOOLS, 'wheel', 'ninja', 'psutil']
        else:
            yield 'build tools', [*numpy, SETUPTOOLS, 'wheel', 'ninja', 'psutil']
        if self.family.lite and not HOSTS[self.scope].needs_ops:
            yield 'mmcv', [self.family.lite, *numpy]
        else:
            yield 'mmcv', ['--no-build-isolation', self.family.packages['mmcv'], *numpy]
        hosts = [self.family.packages['mmengine'], self.family.packages[self.scope], *ALSO.get(self.scope, ())]
        # Which would install upstream's beside the fork's.
        runtime = (ROOT / 'requirements' / 'runtime.txt').read_text().splitlines()
        others = [line for line in runtime if line and not line.startswith(('#', 'mmengine', 'torch'))]
        yield 'host', [*hosts, *others, *numpy, SETUPTOOLS]


@dataclass(frozen=True)
class Outcome:
    """How far a stack came.

    Attributes:
        stack: what was made.
        failed: the step that failed, None if the smoke test passed.
        message: its last line.
        installed: the versions that were installed, as ``name version``.
        seconds: how long it all took.
    """

    stack: Stack
    failed: Optional[str]
    message: str
    installed: tuple[str, ...]
    seconds: float

    def row(self) -> list[str]:
        text = self.message.replace('|', '\\|')
        result = 'works' if self.failed is None else f'{self.failed} fails: {text}'
        return [*self.stack.key, ', '.join(self.installed) or '-', result, f'{self.seconds / 60:.0f} min']


HEADER = ['family', 'host', 'Python', 'torch', 'installed', 'result', 'time']


def plan(pythons: Sequence[str]) -> list[Stack]:
    """All stacks on these versions of Python, such as ``'3.10'``: each host of each family, oldest and newest torch."""
    pinned = _pinned('build')
    newest = (pinned['torch'], pinned['torchvision'])
    stacks = []
    for family in families():
        for scope in HOSTS:
            for python in pythons:
                minor = int(python.split('.')[1])
                oldest = next(pair[:2] for pair in OLDEST if minor <= int(pair[2].split('.')[1]))
                stacks += [Stack(family, scope, python, *pair) for pair in (oldest, newest)]
    return stacks


def reusing(python: str, torch: str) -> list[Stack]:
    """All stacks on the torch that is installed here."""
    return [Stack(family, scope, python, torch, '') for family in families() for scope in HOSTS]


def find_python(version: str) -> Optional[str]:
    """An interpreter of a version that runs: on the PATH, or one of pyenv's; None if there is none."""
    pyenv = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')) / 'versions'
    found = [shutil.which(f'python{version}'), *map(str, sorted(pyenv.glob(f'{version}.*/bin/python{version}')))]
    for path in filter(None, found):
        # A shim of pyenv is there for every version, and runs for the chosen ones.
        if subprocess.run([path, '-c', 'import venv'], capture_output=True).returncode == 0:
            return path
    return None


def link_torch(site_packages: Path) -> None:
    """Let another environment have this one's torch, torchvision, and what they need, except NumPy."""
    waiting, done = ['torch', 'torchvision'], {'numpy', 'setuptools'}
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform, or an extra
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ('..', '__pycache__')}:
            source = Path(str(distribution.locate_file(top)))
            if source.exists() and not (site_packages / top).exists():
                (site_packages / top).symlink_to(source)
        needed = (re.match(r'[\w.-]+', line) for line in distribution.requires or () if 'extra ==' not in line)
        waiting += [match[0] for match in needed if match]


def check(stack: Stack, python: str, folder: Path, reuse_torch: bool) -> Outcome:
    """Make the environment in a folder, and run the smoke test in it."""
    start = time.time()
    log = folder / 'log.txt'
    own = folder / 'env' / 'bin' / 'python'

    def attempt(command: Sequence[str]) -> bool:
        with open(log, 'a') as file:
            environment = {**os.environ, 'MMCV_WITH_OPS': stack.operators, 'PYTHONPATH': str(ROOT)}
            print('$', shlex.join(command), file=file, flush=True)
            return subprocess.run(command, stdout=file, stderr=file, cwd=ROOT, env=environment).returncode == 0

    failed = None if attempt([python, '-m', 'venv', str(folder / 'env')]) else 'making the environment'
    if failed is None and reuse_torch:
        link_torch(next((folder / 'env').glob('lib/python*/site-packages')))
    for name, arguments in stack.steps():
        if failed is None and not attempt([str(own), '-m', 'pip', 'install', *arguments]):
            failed = f'installing {name}'
    if failed is None and not attempt([str(own), '-W', 'ignore', 'tools/check_zoo.py', stack.config]):
        failed = 'the smoke test'
    return Outcome(stack, failed, _reason(log.read_text()), _installed(own, stack), time.time() - start)


def _reason(log: str) -> str:
    """The line of a log that says why something failed: what the smoke test or pip says, or else the last one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r'error:|ERROR:|\[1/1\].*does not work|\w*Error: ', line)]
    return (telling or lines or [''])[-1][:300]


def _installed(python: Path, stack: Stack) -> tuple[str, ...]:
    if not python.exists():
        return ()
    done = subprocess.run([str(python), '-m', 'pip', 'list', '--format=freeze'], capture_output=True, text=True)
    wanted = ('mmengine', 'mmcv', HOSTS[stack.scope].distribution, 'mmdetection', 'numpy')
    pairs = [line.split('==') for line in done.stdout.splitlines() if '==' in line]
    plain = [(name, version, name.removeprefix('onedl-').removesuffix('-lite')) for name, version in pairs]
    return tuple(f'{name} {version}' for name, version, bare in plain if bare in wanted)


def updated_page(text: str, rows: Sequence[Sequence[str]]) -> str:
    """The page with these rows in its table; rows of other stacks stay.

    Raises:
        UsageError: if it has no place for the table.
    """
    before, has_start, rest = text.partition(MARKS[0])
    inside, has_end, after = rest.partition(MARKS[1])
    if not (has_start and has_end):
        raise UsageError(f'{PAGE} has no place for the table: put the lines {MARKS[0]} and {MARKS[1]} into it')
    lines = [line for line in inside.splitlines() if line.startswith('|')][2:]
    kept = {tuple(row[:4]): row for row in (line.strip('| ').split(' | ') for line in lines)}
    kept.update({tuple(row[:4]): list(row) for row in rows})
    table = [HEADER, ['---'] * len(HEADER), *(kept[key] for key in sorted(kept))]
    body = '\n'.join(f'| {" | ".join(row)} |' for row in table)
    return f'{before}{MARKS[0]}\n{body}\n{MARKS[1]}{after}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='+', metavar='NAME', help='stacks whose names begin like this')
    parser.add_argument(
        '--dry-run', action='store_true', help='list the stacks and what would be installed; do nothing'
    )
    parser.add_argument(
        '--reuse-torch',
        action='store_true',
        help="take this environment's Python and torch instead of installing others",
    )
    parser.add_argument('--keep', type=Path, metavar='FOLDER', help='keep environments and logs there')
    parser.add_argument('--no-page', action='store_true', help=f'do not update {PAGE.relative_to(ROOT)}')
    arguments = parser.parse_args()
    here = f'{sys.version_info[0]}.{sys.version_info[1]}'
    stacks = reusing(here, metadata.version('torch')) if arguments.reuse_torch else plan(PYTHONS)
    stacks = [stack for stack in stacks if not arguments.only or stack.name.startswith(tuple(arguments.only))]
    if not stacks:
        raise UsageError(f'no stack is called {" or ".join(arguments.only)}; --dry-run lists them')
    for number, stack in enumerate(stacks, 1):
        python = sys.executable if arguments.reuse_torch else find_python(stack.python)
        print(f'[{number}/{len(stacks)}] {stack.name}' + ('' if python else ': skipped, there is no such Python here'))
        if arguments.dry_run:
            for name, packages in stack.steps():
                print(f'    {name}: {shlex.join(packages)}')
            print(f'    smoke test: {stack.config}')
        elif python:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(arguments.keep or scratch).resolve() / stack.name
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                outcome = check(stack, python, folder, arguments.reuse_torch)
            print(f'    {" | ".join(outcome.row())}', flush=True)
            if not arguments.no_page:
                PAGE.write_text(updated_page(PAGE.read_text(), [outcome.row()]))


if __name__ == '__main__':
    run(main)
