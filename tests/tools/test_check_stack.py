"""What ``tools/check_stack.py`` would make, and what it says of it; nothing is installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from mmadvdefense.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    spec = importlib.util.spec_from_file_location('check_stack', ROOT / 'tools' / 'check_stack.py')
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look for the names of annotations.
    monkeypatch.setitem(sys.modules, 'check_stack', module)
    spec.loader.exec_module(module)
    return module


def steps(tool, name):
    (stack,) = [own for own in tool.plan(tool.PYTHONS) if own.name == name]
    return dict(stack.steps())


def test_every_host_of_both_families_on_each_python_with_two_torches(tool):
    stacks = tool.plan(['3.10', '3.12'])
    assert len({stack.name for stack in stacks}) == len(stacks) == 2 * 3 * 2 * 2
    torches = {(stack.python, stack.torch, stack.torchvision) for stack in stacks}
    newest = tool._pinned('build')
    assert torches == {
        ('3.10', '2.0.1', '0.15.2'),
        # The first that has a wheel for Python 3.12.
        ('3.12', '2.2.0', '0.17.0'),
        *((python, newest['torch'], newest['torchvision']) for python in ('3.10', '3.12')),
    }
    assert {stack.config.partition('::')[0] for stack in stacks} == {'mmpretrain', 'mmseg', 'mmdet'}
    assert {stack.scope: stack.operators for stack in stacks} == {'mmpretrain': '0', 'mmseg': '1', 'mmdet': '1'}


def test_what_is_installed(tool):
    old = steps(tool, 'upstream-mmpretrain-py3.10-torch2.0.1')
    assert old['torch'][:3] == ['torch==2.0.1', 'torchvision==0.15.2', 'numpy<2']
    assert old['mmcv'] == ['mmcv-lite==2.1.0', 'numpy<2'], 'it needs no operators'
    assert {'mmengine==0.10.7', 'mmpretrain==1.2.0', 'numpy<2'} <= set(old['host'])
    newest = tool._pinned('build')['torch']
    seg = steps(tool, f'upstream-mmseg-py3.12-torch{newest}')
    assert seg['mmcv'] == ['--no-build-isolation', 'mmcv==2.1.0', 'numpy>=2']
    assert {'mmsegmentation==1.2.2', 'ftfy', 'regex'} <= set(seg['host'])
    fork = steps(tool, f'onedl-mmdet-py3.12-torch{newest}')
    assert fork['mmcv'][1] == 'onedl-mmcv' and {'onedl-mmengine', 'onedl-mmdetection', 'rich'} <= set(fork['host'])
    assert not any(name.startswith(('mmengine', 'mmcv', 'torch')) for name in fork['host']), 'not both families'


def test_dry_run_lists_and_does_nothing(run_tool, monkeypatch):
    before = (ROOT / 'docs' / 'stacks.md').read_text()
    done = run_tool('check_stack', '--dry-run', '--reuse-torch', '--only', 'upstream-mmpretrain')
    assert done.code == 0, done.err
    name = (
        f'upstream-mmpretrain-py{sys.version_info[0]}.{sys.version_info[1]}-torch{torch.__version__.partition("+")[0]}'
    )
    assert done.out.startswith(f'[1/1] {name}') and 'torchvision' not in done.out
    assert '    mmcv: mmcv-lite==2.1.0' in done.out and '    smoke test: mmpretrain::' in done.out
    assert (ROOT / 'docs' / 'stacks.md').read_text() == before
    done = run_tool('check_stack', '--dry-run', '--only', 'nothing')
    assert done.error == 'error: no stack is called nothing; --dry-run lists them'


def test_a_result_becomes_a_row(tool):
    stack = tool.plan(['3.10'])[0]
    works = tool.Outcome(stack, None, 'all work', ('mmcv-lite 2.1.0', 'numpy 1.26.4'), 130.0)
    assert works.row() == [
        'upstream', 'mmpretrain', '3.10', '2.0.1', 'mmcv-lite 2.1.0, numpy 1.26.4', 'works', '2 min'
    ]  # fmt: skip
    fails = tool.Outcome(stack, 'the smoke test', 'a | b', (), 20.0)
    assert fails.row()[4:] == ['-', 'the smoke test fails: a \\| b', '0 min']


def test_why_it_failed(tool):
    log = (
        '$ pip install x\nCollecting x\nERROR: No matching distribution found for x\n\n[notice] a new release of pip\n'
    )
    assert tool._reason(log) == 'ERROR: No matching distribution found for x'
    assert tool._reason('one\ntwo\n') == 'two' and tool._reason('') == ''
    assert tool._reason('[1/1] a.py (3 s): does not work: no\n1 of 1\n') == '[1/1] a.py (3 s): does not work: no'


def test_the_page_keeps_the_rows_of_other_stacks(tool):
    rows = [['upstream', 'mmdet', '3.10', '2.0.1', 'numpy 1', 'works', '9 min']]
    text = f'# Page\n{tool.MARKS[0]}\nNothing yet.\n{tool.MARKS[1]}\nEnd\n'
    once = tool.updated_page(text, rows)
    assert 'Nothing yet' not in once and once.startswith('# Page\n') and once.endswith('\nEnd\n')
    other = ['onedl', 'mmdet', '3.12', '2.12.1', '-', 'the smoke test fails: a \\| b', '1 min']
    twice = tool.updated_page(once, [other])
    again = tool.updated_page(twice, [[*rows[0][:5], 'fails', '1 min']])
    lines = [line for line in again.splitlines() if line.startswith('|')]
    assert len(lines) == 4 and lines[2] == f'| {" | ".join(other)} |' and '| fails | 1 min |' in lines[3]
    with pytest.raises(UsageError, match='has no place for the table'):
        tool.updated_page('# Page', rows)
    assert all(mark in tool.PAGE.read_text() for mark in tool.MARKS)
