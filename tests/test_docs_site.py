"""The documentation site builds without warnings, loads nothing from elsewhere, and knows all classes of configs."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import mmadvdefense
from mmadvdefense import registry

ROOT = Path(__file__).resolve().parents[1]
REGISTRIES = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]


def _documented() -> set[str]:
    """The modules in the API reference."""
    pages = (ROOT / 'docs' / 'api').glob('*.md')
    return {name for page in pages for name in re.findall(r'^::: (\S+)$', page.read_text(), re.MULTILINE)}


def _registered() -> list:
    classes = {cls for each in REGISTRIES for cls in each.module_dict.values()}
    return sorted(
        (cls for cls in classes if cls.__module__.startswith(f'{mmadvdefense.__name__}.')), key=lambda cls: cls.__name__
    )


def test_every_registered_class_is_in_the_reference():
    pytest.importorskip('mmpretrain')
    documented = _documented()
    assert len(documented) > 8 and len(_registered()) > 50
    listed = {}
    for module in documented:
        loaded = importlib.import_module(module)
        names = getattr(loaded, '__all__', None) or [name for name in vars(loaded) if not name.startswith('_')]
        listed.update({getattr(loaded, name): module for name in names if callable(getattr(loaded, name))})
    assert [f'{cls.__module__}.{cls.__name__}' for cls in _registered() if cls not in listed] == []


def test_site_builds_strictly_and_asks_no_other_machine(tmp_path):
    try:
        version('mkdocs-material'), version('mkdocstrings-python'), version('jupytext')
    except PackageNotFoundError as error:
        pytest.skip(f'{error.name} is not installed: pip install -r requirements/docs.txt')
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(tmp_path / 'site')],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'WARNING' not in done.stderr, done.stderr[-2000:]
    pages = sorted((tmp_path / 'site').rglob('index.html'))
    assert len(pages) > 10
    for page in pages:
        # Links that a reader clicks on may lead anywhere; what a browser loads on its own may not.
        loaded = re.findall(
            r'<(?:script|img|iframe)[^>]*\ssrc="?([^"\s>]+)|<link[^>]*\shref="?([^"\s>]+)', page.read_text()
        )
        remote = [url for pair in loaded for url in pair if re.match(r'(https?:)?//', url)]
        assert not remote, f'{page}: {remote}'
    reference = (tmp_path / 'site' / 'api' / 'attacks' / 'index.html').read_text()
    assert 'id="mmadvdefense.attacks.PGD"' in reference and 'random_start' in reference
    assert ':class:' not in reference and '<code>~' not in reference, 'roles of Sphinx'
    headings = Counter(
        name
        for page in pages
        for name in re.findall(r'<h[1-6] id="mmadvdefense[\w.]*\.([A-Z]\w+)" class="doc', page.read_text())
    )
    assert len(headings) > 100
    assert [name for name, count in headings.items() if count > 1] == [], 'documented twice'
