"""Create ``.venv`` with the pinned OpenMMLab stack and this package; safe to interrupt and to run again.

It uses only the standard library, since it runs before anything is installed. ``make test`` and ``make demo`` call it.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Callable, Optional

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / 'requirements'
MMCV = next(
    line.strip() for line in (REQUIREMENTS / 'mminstall.txt').read_text().splitlines() if line.startswith('mmcv==')
)
TORCHATTACKS = 'torchattacks==3.5.1'
SUPPORTED = ((3, 10), (3, 12))
VERIFY = (
    'import cv2, torch, torchvision, mmengine, mmdet, mmseg, mmpretrain, mmadvdefense;'
    'from mmcv.ops import nms;'
    'nms(torch.tensor([[0., 0, 9, 9]]), torch.tensor([1.]), 0.5)'
)


class SetupError(Exception):
    """A step failed; the message says which one, and what to do."""


def say(text: str) -> None:
    print(f'[set-up] {text}', flush=True)


def suitable_python() -> str:
    """This interpreter if its version is supported, otherwise the newest supported one on the PATH."""
    low, high = SUPPORTED
    if low <= sys.version_info[:2] <= high:
        return sys.executable
    for minor in range(high[1], low[1] - 1, -1):
        found = shutil.which(f'python3.{minor}')
        if found and subprocess.run([found, '-c', ''], capture_output=True).returncode == 0:
            return found
    raise SetupError(
        f'Python {low[0]}.{low[1]} to {high[0]}.{high[1]} is needed, but this is {sys.version.split()[0]}; '
        'install python3.11 with its venv and dev packages, or run make PYTHON=/path/to/python3.11'
    )


class Venv:
    """The virtual environment, with a log of everything that was done to it."""

    def __init__(self, path: Path):
        self.path = path
        self.python = path / 'bin' / 'python'
        self.stamp = path / '.set-up-done'
        self.log = path / 'set-up.log'

    def fingerprint(self) -> str:
        """A digest that changes with the requirements, the package's metadata, this script and the path."""
        files = [*sorted(REQUIREMENTS.glob('*.txt')), ROOT / 'pyproject.toml', ROOT / 'setup.py', Path(__file__)]
        content = b''.join(file.read_bytes() for file in files)
        return hashlib.sha256(content + str(self.path).encode()).hexdigest()

    def is_ready(self) -> bool:
        return self.python.exists() and self.stamp.exists() and self.stamp.read_text() == self.fingerprint()

    def create(self) -> None:
        def works() -> bool:
            command = [str(self.python), '-m', 'pip', '--version']
            return self.python.exists() and subprocess.run(command, capture_output=True).returncode == 0

        if works():
            return
        python = suitable_python()
        say(f'creating {self.path} with {python}')
        subprocess.run([python, '-m', 'venv', '--clear', str(self.path)], capture_output=True)
        if not works():
            raise SetupError(
                f'{python} cannot create a virtual environment; on Debian/Ubuntu: apt-get install python3-venv'
            )

    def run(self, what: str, command: list[str], on_line: Optional[Callable[[str], None]] = None, **kwargs) -> None:
        """Run a command in this environment, with its output in the log; a failure shows the last lines.

        Args:
            what: what the step does, for messages.
            command: the arguments after the interpreter's name.
            on_line: called with each line of output.
            **kwargs: for :class:`subprocess.Popen`.

        Raises:
            SetupError: if the command fails.
        """
        lines: list[str] = []
        with open(self.log, 'a') as log:
            log.write(f'\n== {what}\n')
            with subprocess.Popen(
                [str(self.python), *command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors='replace',
                **kwargs,
            ) as process:
                for line in process.stdout or ():
                    log.write(line)
                    lines.append(line)
                    if on_line:
                        on_line(line)
        if process.returncode:
            raise SetupError(f'{what} failed:\n{"".join(lines[-25:])}the full log is in {self.log}')

    def pip_install(self, what: str, *arguments: str) -> None:
        say(what)
        self.run(what, ['-m', 'pip', 'install', '--disable-pip-version-check', *arguments])

    def evaluate(self, code: str) -> str:
        return subprocess.run([str(self.python), '-c', code], capture_output=True, text=True, check=True).stdout.strip()


class BuildProgress:
    """Turns ninja's ``[n/total]`` lines into one line per tenth, or into a live line on a terminal."""

    def __init__(self):
        self.start = time.time()
        self.shown = -1

    def __call__(self, line: str) -> None:
        match = re.match(r'\s*\[(\d+)/(\d+)\]', line)
        if not match:
            return
        done, total = map(int, match.groups())
        elapsed = time.time() - self.start
        left = elapsed / done * (total - done)
        text = f'mmcv: {done} of {total} files compiled, {elapsed / 60:.1f} min, about {left / 60:.0f} min left'
        if sys.stdout.isatty():
            print(f'\r[set-up] {text}   ', end='\n' if done == total else '', flush=True)
        elif done * 10 // total > self.shown:
            self.shown = done * 10 // total
            say(text)


def mmcv_wheel(venv: Venv) -> Path:
    """Build the wheel of mmcv against the torch in ``venv``, or find one that was built before.

    Wheels are kept outside the clone, in a folder named after everything they depend on. The sdist is unpacked once and
    compiled in place, so that an interrupted build resumes where it stopped.

    Raises:
        SetupError: if a compiler, Python's headers or (on a GPU machine) nvcc is missing, or the build fails.
    """
    facts = venv.evaluate(
        'import sys, torch; from torch.utils.cpp_extension import CUDA_HOME;'
        'tag = f"cp{sys.version_info[0]}{sys.version_info[1]}";'
        'print(torch.__version__, tag, torch.cuda.is_available(), CUDA_HOME)'
    )
    torch_version, tag, has_gpu, cuda_home = facts.split(' ', 3)
    device = 'cuda' if has_gpu == 'True' else 'cpu'
    cache = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 'mmadvdefense'
    folder = cache / f'{MMCV.replace("==", "-")}-torch{torch_version}-{tag}-{device}'
    wheels = sorted(folder.glob('mmcv-*.whl'))
    if wheels:
        return wheels[0]

    if not (shutil.which(os.environ.get('CXX', 'c++')) or shutil.which('g++')):
        raise SetupError('mmcv needs a C++ compiler; on Debian/Ubuntu: apt-get install g++')
    include = venv.evaluate('import sysconfig; print(sysconfig.get_path("include"))')
    if not (Path(include) / 'Python.h').exists():
        raise SetupError(f'mmcv needs Python.h, missing from {include}; on Debian/Ubuntu: apt-get install python3-dev')
    if device == 'cuda' and cuda_home == 'None':
        raise SetupError(
            'there is a GPU but no nvcc: install the CUDA toolkit that torch was built for, '
            'or run CUDA_VISIBLE_DEVICES= make ... to build operators for the CPU only'
        )

    folder.mkdir(parents=True, exist_ok=True)
    source = folder / MMCV.replace('==', '-')
    if not source.exists():
        say('downloading the source of mmcv (PyPI has no wheel of it)')
        download = ['-m', 'pip', 'download', '--no-deps', '--no-build-isolation', '--no-binary', ':all:']
        venv.run('downloading mmcv', [*download, '-d', str(folder), MMCV])
        unpacked = folder / 'unpacked'
        shutil.rmtree(unpacked, ignore_errors=True)
        with tarfile.open(next(folder.glob('mmcv-*.tar.gz'))) as archive:
            archive.extractall(unpacked)
        os.replace(unpacked / source.name, source)
        unpacked.rmdir()
    say(f'building mmcv with its {device} operators: about 12 minutes on 2 cores, once for this torch and Python')
    memory_jobs = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // (2 << 30)
    jobs = max(1, min(os.cpu_count() or 1, memory_jobs))
    environment = {**os.environ, 'MMCV_WITH_OPS': '1', 'MAX_JOBS': os.environ.get('MAX_JOBS', str(jobs))}
    environment['PATH'] = f'{venv.path / "bin"}{os.pathsep}{environment["PATH"]}'
    venv.run(
        'building mmcv',
        ['-u', 'setup.py', 'bdist_wheel', '--dist-dir', str(folder / 'dist')],
        BuildProgress(),
        cwd=source,
        env=environment,
    )
    built = next((folder / 'dist').glob('*.whl'))
    wheel = folder / built.name
    os.replace(built, wheel)
    shutil.rmtree(source)
    shutil.rmtree(folder / 'dist')
    return wheel


def verify(venv: Venv) -> None:
    """Import the whole stack and run one compiled operator; replace OpenCV on machines without libGL."""
    check = subprocess.run([str(venv.python), '-c', 'import cv2'], capture_output=True, text=True)
    if check.returncode and ('libGL' in check.stderr or 'libgthread' in check.stderr):
        say('this machine has no libGL: replacing opencv-python with opencv-python-headless')
        version = venv.evaluate('from importlib.metadata import version; print(version("opencv-python"))')
        venv.run('removing opencv-python', ['-m', 'pip', 'uninstall', '-y', 'opencv-python'])
        venv.pip_install('installing OpenCV without GUI support', f'opencv-python-headless=={version}')
    venv.run('checking the environment', ['-W', 'ignore', '-c', VERIFY])


def set_up(venv: Venv) -> None:
    started = time.time()
    venv.create()
    requirements = str(REQUIREMENTS)
    venv.pip_install('installing torch and build tools (5 GB)', '-r', f'{requirements}/build.txt')
    wheel = mmcv_wheel(venv)
    venv.pip_install('installing mmcv', '--no-deps', '--force-reinstall', str(wheel))
    files = ('build', 'mminstall', 'runtime', 'optional', 'purifiers', 'corruptions', 'tests', 'docs')
    lists = [argument for name in files for argument in ('-r', f'{requirements}/{name}.txt')]
    venv.pip_install('installing OpenMMLab, the other requirements, test and documentation tools', *lists)
    venv.pip_install('installing torchattacks', '--no-deps', TORCHATTACKS)
    venv.pip_install('installing mmadvdefense', '--no-deps', '--no-build-isolation', '-e', str(ROOT))
    verify(venv)
    partial = venv.stamp.with_suffix('.partial')
    partial.write_text(venv.fingerprint())
    os.replace(partial, venv.stamp)
    say(f'done in {(time.time() - started) / 60:.1f} min')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='where to create the environment')
    venv = Venv(parser.parse_args().venv.absolute())
    if venv.is_ready():
        return 0
    lock_path = venv.path.with_name(f'{venv.path.name}.lock')
    with open(lock_path, 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say('another set-up is running here; waiting for it')
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not venv.is_ready():
            try:
                set_up(venv)
            except SetupError as error:
                say(str(error))
                return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
