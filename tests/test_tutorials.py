"""The tutorials run from the first cell to the last, as they stand, on a few images."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch
from fixtures.tutorials import Reader, cells_of
from mmengine.config import Config

from mmadvdefense.models import build_model
from mmadvdefense.registry import ATTACKS

pytest.importorskip('mmpretrain')

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'docs' / 'tutorials'
PAGES = ('attack', 'protect', 'adaptive', 'own_attack', 'detector', 'own_data', 'deploy')
# What the pages say of sizes, and what is enough to see that it runs.
SMALL = {
    'attack': {'--steps 50': '--steps 3', '--num-images 4': '--num-images 1', "'batch_size = 100'": "'batch_size = 4'"},
    'protect': {'--minutes 1': '--minutes 0.01 --num-images 8'},
    'detector': {'num_train=600, num_test=100': 'num_train=4, num_test=2', '--num-images 2': '--num-images 1'},
    'own_data': {'indices=300': 'indices=60'},
}
IMAGES = 4


def text_of(page: str) -> str:
    return (FOLDER / f'{page}.md').read_text()


def _shorten(config: Config) -> Config:
    """The config as it is, with a few images and grids of few: as many epochs, so that checkpoints have their names."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = config.get(name)
        if loader:
            loader.batch_size, loader.num_workers = min(loader.batch_size, IMAGES), 0
            loader.dataset.indices = min(loader.dataset.get('indices') or IMAGES, IMAGES)
    if config.get('train_cfg'):
        config.train_cfg.val_interval = 1000
        # The last one is what the pages use.
        config.default_hooks.checkpoint.interval = config.train_cfg.max_epochs
    if 'threat_models' in config:
        config.num_images = min(config.get('num_images') or IMAGES, IMAGES)
        if config.get('self_test'):
            config.self_test = dict(num_images=1)
    return config


@pytest.fixture
def small(monkeypatch):
    """Every config that is read from a file is short, in this process and in those that are forked from it."""
    whole = Config.fromfile
    monkeypatch.setattr(Config, 'fromfile', lambda *args, **kwargs: _shorten(whole(*args, **kwargs)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _save(config: str, path: str) -> None:
    """Weights as training would write them, at random, and as decisive as trained ones."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(Config.fromfile(config))
        torch.nn.init.normal_(model.head.fc.weight)
    if hasattr(model.data_preprocessor, 'num_updates'):
        # Else it is refused, as untrained.
        model.data_preprocessor.num_updates += 1
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=model.state_dict()), path)


@pytest.fixture
def clone(tmp_path, monkeypatch, small):
    """Where a person is who has finished the first two tutorials."""
    for name in ('configs', 'tools', 'benchmarks', 'zoo'):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    # What a page registers and imports is gone after it.
    monkeypatch.setattr(ATTACKS, '_module_dict', dict(ATTACKS._module_dict))
    monkeypatch.setattr(sys, 'path', list(sys.path))
    monkeypatch.setattr('mmengine.utils.dl_utils.collect_env', lambda: {})
    monkeypatch.setattr('mmengine.runner.runner.collect_env', lambda: {}, raising=False)
    (written,) = re.findall(r"<<'EOF_CONFIG'\n(.*?)^EOF_CONFIG$", text_of('protect'), re.MULTILINE | re.DOTALL)
    Path('my_defense.py').write_text(written)
    _save('configs/target/digits_target.py', 'work_dirs/digits_target/epoch_10.pth')
    _save('my_defense.py', 'work_dirs/my_defense/epoch_8.pth')
    yield tmp_path
    sys.modules.pop('my_attacks', None)


def run(page: str) -> list[str]:
    text = text_of(page)
    for said, enough in SMALL.get(page, {}).items():
        said, enough = said.strip("'"), enough.strip("'")
        assert said in text, f'{page}.md no longer says {said!r}'
        text = text.replace(said, enough)
    reader = Reader(FOLDER / f'{page}.md', ROOT)
    return [reader.run(cell) for cell in cells_of(text)]


def test_every_tutorial_is_tested_and_in_the_site():
    assert {path.stem for path in FOLDER.glob('*.md')} == {*PAGES, 'index'}
    order = re.findall(r'tutorials/(\w+)\.md', (ROOT / 'mkdocs.yml').read_text())
    assert order == ['index', *PAGES]
    assert re.findall(r'\]\((\w+)\.md\)', text_of('index')) == list(PAGES)


@pytest.mark.parametrize('page', PAGES)
def test_a_page_runs(page, clone, capsys):
    if page == 'detector':
        pytest.importorskip('mmdet')
    printed = run(page)
    # Tables of the kind that the page shows.
    for shown in re.findall(r'^```text\n(\+--.*?)^```$', text_of(page), re.MULTILINE | re.DOTALL):
        header = [word.strip() for word in shown.splitlines()[1].strip('|').split('|')]
        assert any(all(word in output for word in header) for output in printed), f'{page}.md shows {header}'


@pytest.mark.parametrize('page', PAGES)
def test_a_page_is_a_notebook_as_well(page):
    """What the site offers has the cells that are tested here."""
    pytest.importorskip('jupytext')
    nbformat = pytest.importorskip('nbformat')
    spec = importlib.util.spec_from_file_location('docs_hooks', ROOT / 'docs' / 'hooks.py')
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    made = nbformat.reads(hooks.notebook(text_of(page)), as_version=4)
    nbformat.validate(made)
    code = [cell.source for cell in made.cells if cell.cell_type == 'code']
    expected = [('%%bash\n' if cell.language == 'bash' else '') + cell.code for cell in cells_of(text_of(page))]
    assert code == expected
    assert made.cells[0].cell_type == 'markdown' and made.cells[0].source.startswith('# ')
