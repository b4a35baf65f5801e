"""The house: which room may import which, how large a room and a file may grow, and that tests mirror the package."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = 'mmadvdefense'

# From the ground up. A room imports from lower floors alone, and rooms of one floor do not know each other.
FLOORS = (
    ('single files',),
    ('tasks', 'networks', 'checkpoints'),
    ('model_spec',),
    ('attacks', 'purifiers', 'losses', 'datasets'),
    ('threats',),
    ('training',),
    ('hooks', 'testing'),
    ('evaluation',),
    ('apis',),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Inside a room: the first does not know the second.
STRANGERS = (
    ('attacks.gradient', 'attacks.minimal'),
    ('attacks.gradient', 'attacks.query'),
    ('attacks.gradient', 'attacks.external'),
    ('attacks.gradient', 'attacks.patch'),
    ('attacks.query', 'attacks.external'),
    ('attacks.query', 'attacks.patch'),
    ('attacks.external', 'attacks.query'),
    ('purifiers.transforms', 'purifiers.trained'),
    ('purifiers.transforms', 'purifiers.online'),
    ('purifiers.online', 'purifiers.trained'),
    ('purifiers.trained', 'purifiers.composites'),
    ('evaluation.report', 'evaluation.grid'),
)
LARGEST_ROOM = 16
LONGEST_FILE = 300
# All that is known of versions and defects of other packages stands in one file.
LONG_FILES = {'compat.py'}


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {_module(path): path for path in sorted((ROOT / PACKAGE).rglob('*.py'))}


def _room(module: str) -> str:
    name = module.split('.')[1] if '.' in module else ''
    return name if name in FLOOR_OF else 'single files'


def _imports(module: str) -> Iterator[str]:
    """Modules of the package that one imports, inside functions and for annotations too."""
    path = MODULES[module]
    package = module if path.name == '__init__.py' else module.rpartition('.')[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            above = package.split('.')[: len(package.split('.')) - node.level + 1] if node.level else []
            base = '.'.join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                found = next((name for name in (f'{base}.{alias.name}', base) if name in MODULES), None)
                if found:
                    yield found


IMPORTS = {module: set(_imports(module)) for module in MODULES}


def _circle(module: str, way: tuple[str, ...], done: set[str]) -> tuple[str, ...]:
    if module in way:
        return (*way[way.index(module) :], module)
    if module in done:
        return ()
    for imported in sorted(IMPORTS[module]):
        circle = _circle(imported, (*way, module), done)
        if circle:
            return circle
    done.add(module)
    return ()


def test_no_circle_of_imports():
    done: set[str] = set()
    for module in MODULES:
        circle = _circle(module, (), done)
        assert not circle, ' -> '.join(circle)


def test_imports_go_down():
    upward = [
        f'{module} imports {imported}'
        for module in MODULES
        if module != PACKAGE
        for imported in IMPORTS[module]
        if _room(module) != _room(imported) and FLOOR_OF[_room(imported)] >= FLOOR_OF[_room(module)]
    ]
    assert not upward, '\n'.join(upward)


@pytest.mark.parametrize('room, stranger', STRANGERS, ids=str)
def test_rooms_do_not_know(room, stranger):
    room, stranger = f'{PACKAGE}.{room}.', f'{PACKAGE}.{stranger}.'
    inside = [module for module in MODULES if module.startswith(room)]
    assert inside and any(module.startswith(stranger) for module in MODULES)
    known = [f'{m} imports {i}' for m in inside for i in IMPORTS[m] if f'{i}.'.startswith(stranger)]
    assert not known, '\n'.join(known)


def test_every_room_has_a_floor():
    rooms = {path.name for path in (ROOT / PACKAGE).iterdir() if (path / '__init__.py').exists()}
    assert rooms == set(FLOOR_OF) - {'single files', 'model_spec'}


@pytest.mark.parametrize('floor', FLOORS, ids=' '.join)
def test_readme_shows_the_floors(floor):
    names = [room if room == 'single files' else f'`{room}`' for room in floor]
    assert f'| {", ".join(names)} |' in (ROOT / 'README.md').read_text()


def test_rooms_and_files_stay_small():
    folders = {path.parent for path in MODULES.values()}
    sizes = {folder: len(list(folder.glob('*.py'))) for folder in folders}
    assert not {str(folder): size for folder, size in sizes.items() if size > LARGEST_ROOM}
    scripts = [path for folder in ('benchmarks', 'tools') for path in (ROOT / folder).rglob('*.py')]
    files = [path for path in [*MODULES.values(), *scripts] if path.name not in LONG_FILES]
    lengths = {path: path.read_text().count('\n') for path in files}
    assert not {str(path): length for path, length in lengths.items() if length > LONGEST_FILE}


def test_tests_mirror_the_package():
    tests = ROOT / 'tests'
    beside = {'benchmarks', 'configs', 'cuda', 'data', 'fixtures', 'tools'}
    folders = {path.parent.relative_to(tests) for path in tests.rglob('test_*.py')}
    strange = {str(f) for f in folders if f.parts and f.parts[0] not in beside and not (ROOT / PACKAGE / f).is_dir()}
    assert not strange
