"""Errors are told apart by their class: what a person can fix explains itself, and all else keeps its traceback."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mmadvdefense import errors
from mmadvdefense.attacks import build_attack
from mmadvdefense.checkpoints import CheckpointMismatch
from mmadvdefense.compat import CheckpointRefused
from mmadvdefense.tasks import NotScored

PACKAGE = Path(errors.__file__).parent
# RuntimeError is left for defects of the code that calls.
ANONYMOUS = {'ValueError', 'ImportError', 'FloatingPointError', 'Exception'}


def _raised(path: Path) -> list[str]:
    calls = [node.exc for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise)]
    names = [(call.lineno, call.func.id) for call in calls if isinstance(call, ast.Call) and hasattr(call.func, 'id')]
    return [f'{path.relative_to(PACKAGE)}:{line} raises {name}' for line, name in names if name in ANONYMOUS]


def test_the_package_raises_its_own_classes():
    found = [text for path in sorted(PACKAGE.rglob('*.py')) for text in _raised(path)]
    assert not found, '\n'.join(found)


@pytest.mark.parametrize(
    ('cls', 'builtin'),
    [
        (errors.UsageError, ValueError),
        (errors.UnsupportedAttackError, ValueError),
        (CheckpointMismatch, ValueError),
        (NotScored, ValueError),
        (errors.StateError, RuntimeError),
        (CheckpointRefused, RuntimeError),
        (errors.DependencyError, ImportError),
        (errors.DivergenceError, FloatingPointError),
    ],
)
def test_each_is_the_builtin_that_one_expects(cls, builtin):
    with pytest.raises(builtin, match='the message'):
        raise cls('the message')
    assert issubclass(cls, errors.MMAdvDefenseError)


def test_a_mistake_is_one_of_them():
    with pytest.raises(errors.UsageError, match='did you mean PGD'):
        build_attack(dict(type='PGDD', eps=8))
