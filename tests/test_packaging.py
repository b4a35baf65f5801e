"""What one gets who installs from an sdist or a wheel instead of a clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
# Of a clone that has been used; what git ignores, and folders that a build does not read.
# In the top folder; the package has rooms of some of these names.
NOT_SOURCES = ('.*', 'data', 'checkpoints', 'work_dirs', 'build', 'dist', 'site', '*.egg-info')
PACKED_ELSEWHERE = {name: f'mmadvdefense/.mim/{name}' for name in ('configs', 'tools', 'zoo')}


def _not_sources(folder: str, names: list[str]) -> set[str]:
    patterns = (*(NOT_SOURCES if Path(folder) == ROOT else ()), '__pycache__')
    return shutil.ignore_patterns(*patterns)(folder, names)


def _require_build_tools() -> None:
    """Skip where they are missing; by metadata, since a folder ``build`` in a clone could be imported as well."""
    for tool, least in (('build', 1), ('setuptools', 77)):
        try:
            found = version(tool)
        except PackageNotFoundError:
            pytest.skip(f'{tool} is not installed: pip install -r requirements/tests.txt')
        if int(found.split('.')[0]) < least:
            pytest.skip(f'setuptools {found} is older than pyproject.toml asks for ({least})')


class Distributions(NamedTuple):
    """The files of each, by their paths in it, and the wheel as it lies after an installation."""

    sdist: set[str]
    wheel: set[str]
    installed: Path


@pytest.fixture(scope='module')
def built(tmp_path_factory) -> Distributions:
    """An sdist, and a wheel made of the sdist, as ``python -m build`` makes them; without a network."""
    _require_build_tools()
    folder = tmp_path_factory.mktemp('packaging')
    # Elsewhere, because a build leaves an egg-info in the sources.
    shutil.copytree(ROOT, folder / 'source', ignore=_not_sources)
    command = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(folder / 'dist')]
    environment = {**os.environ, 'PIP_NO_INDEX': '1'}
    done = subprocess.run(
        [*command, str(folder / 'source')], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    (sdist,), (wheel,) = (folder / 'dist').glob('*.tar.gz'), (folder / 'dist').glob('*.whl')
    with tarfile.open(sdist) as archive:
        files = {member.name.split('/', 1)[1] for member in archive if member.isfile()}
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / 'installed')
        return Distributions(files, set(archive.namelist()), folder / 'installed')


def _sources(*folders: str) -> set[str]:
    return {
        file.relative_to(ROOT).as_posix()
        for folder in folders
        for file in (ROOT / folder).rglob('*')
        if file.is_file() and '__pycache__' not in file.parts
    }


def test_sdist_holds_all_that_an_installation_reads(built):
    needed = _sources('mmadvdefense', 'configs', 'tools', 'zoo', 'requirements')
    assert not needed - built.sdist
    # The patterns above would be satisfied by empty folders.
    for name in ('requirements/runtime.txt', 'configs/_base_/default_runtime.py', 'tools/train.py'):
        assert name in built.sdist
    assert any(name.endswith('templates/report.html') for name in built.sdist)
    assert {'LICENSE', 'README.md', 'CHANGELOG.md', 'CITATION.cff', 'mmadvdefense/py.typed'} <= built.sdist
    assert not any('__pycache__' in name for name in built.sdist)


def test_wheel_holds_the_package_its_configs_and_its_tools(built):
    needed = _sources('mmadvdefense', 'configs', 'tools', 'zoo')
    packed = {
        name if (top := name.split('/')[0]) not in PACKED_ELSEWHERE else name.replace(top, PACKED_ELSEWHERE[top], 1)
        for name in needed
    }
    assert not packed - built.wheel
    assert {name.split('/')[0].split('-')[0] for name in built.wheel} == {'mmadvdefense'}, 'no tests, no docs'
    assert any(name.endswith('.dist-info/licenses/LICENSE') for name in built.wheel)
    assert not any('__pycache__' in name for name in built.wheel)


def test_metadata_is_that_of_the_requirements(built):
    (path,) = built.installed.glob('*.dist-info/METADATA')
    metadata = path.read_text().split('\n\n')[0].splitlines()
    (version_line,) = (line for line in metadata if line.startswith('Version: '))
    assert version_line.lower() in (ROOT / 'CITATION.cff').read_text().splitlines()
    assert 'License-Expression: Apache-2.0' in metadata and 'Requires-Python: >=3.10' in metadata
    required = [Requirement(line.removeprefix('Requires-Dist: ')) for line in metadata if line.startswith('Requires-D')]
    for extra in ('', 'attacks', 'corruptions', 'purifiers'):
        lines = (ROOT / 'requirements' / f'{extra or "runtime"}.txt').read_text().splitlines()
        wanted = {str(Requirement(line)) for line in lines if line and not line.startswith('#')}
        mine = (r for r in required if (f'extra == "{extra}"' in str(r.marker) if extra else r.marker is None))
        assert {str(r).split(';')[0] for r in mine} == wanted


def test_installed_package_finds_its_configs(built, tmp_path):
    """In a process that does not see the clone."""
    code = '\n'.join(
        [
            'import mmadvdefense',
            'from mmengine.config import Config',
            'from mmadvdefense.training.recipes import CONFIGS, DEFAULT_RECIPES',
            'print(mmadvdefense.__file__, CONFIGS, sep="\\n")',
            'assert Config.fromfile(CONFIGS / "defense" / "resnet20_cifar10_align.py").custom_hooks',
            'from mmadvdefense.zoo import zoo_entries, zoo_file',
            'print(*{zoo_file(f"zoo://{name}").parent for name in zoo_entries()}, sep="\\n")',
            'for recipe in DEFAULT_RECIPES.values():',
            '    assert Config.fromfile(CONFIGS / recipe.format("align")).optim_wrapper',
        ]
    )
    environment = {**os.environ, 'PYTHONPATH': str(built.installed)}
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    package, configs, zoo = map(Path, done.stdout.split())
    assert package.parent == built.installed / 'mmadvdefense'
    assert configs == package.parent / '.mim' / 'configs'
    assert zoo == package.parent / '.mim' / 'zoo'
