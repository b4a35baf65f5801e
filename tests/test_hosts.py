"""The records of hosts against the hosts themselves, and that nothing else knows them by name."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.registry import FUNCTIONS, DefaultScope

from mmadvdefense.hosts import HOSTS, host_of, host_of_class
from mmadvdefense.registry import MODELS
from mmadvdefense.tasks import ClassificationTask, DetectionTask, SegmentationTask, has_one_label
from mmadvdefense.training import recipes

PACKAGE = Path(__file__).parents[1] / 'mmadvdefense'
# The ensemble is a model of MMPretrain itself, and so is built of MMPretrain's parts.
KNOW_A_SCOPE = {'hosts.py', 'compat.py', 'purifiers/composites/defended_ensemble.py'}


@pytest.mark.parametrize('scope', HOSTS)
def test_a_record_names_what_the_host_has(scope):
    host = HOSTS[scope]
    assert host.scope == scope
    pytest.importorskip(scope)
    models = import_module(f'{scope}.models')
    for name in (host.model_base, *host.other_models):
        assert host_of_class(getattr(models, name)) is host
    with DefaultScope.overwrite_default_scope(scope):
        native = MODELS.get(host.native_type)
        assert native is not None and host_of_class(native) is host
        assert FUNCTIONS.get(host.collate) is not None
    assert (recipes.CONFIGS / recipes.DEFAULT_RECIPES[scope].format('align')).is_file()


def test_the_task_that_reports_draw_single_decisions_for():
    assert [host.task for host in HOSTS.values() if has_one_label(host.task)] == [ClassificationTask.name]


def test_every_task_has_a_host():
    tasks = {host.task: host.dense for host in HOSTS.values()}
    assert tasks == {task.name: task.dense for task in (ClassificationTask, SegmentationTask, DetectionTask)}


def test_the_host_of_a_name():
    assert host_of('torch.nn.Module', 'mmdet.models.SSDHead', 'mmseg.models') is HOSTS['mmdet']
    assert host_of('torch.nn.Module') is host_of() is host_of_class(SimpleNamespace) is None


def test_nothing_else_knows_a_scope():
    """Strings that are a scope, in all of the package's code."""
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.partition('.')[0] in HOSTS
    }
    assert knowing == KNOW_A_SCOPE
