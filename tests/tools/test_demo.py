"""The demo with a fraction of its epochs: every part runs, and it says where the picture and the numbers are."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from mmengine.config import Config

pytest.importorskip('mmpretrain')


def test_classification(run_tool, tmp_path, monkeypatch):
    whole = Config.fromfile

    def short(path, *args, **kwargs):
        config = whole(path, *args, **kwargs)
        if 'train_cfg' in config:
            config.train_cfg.max_epochs = 1
            config.param_scheduler = None
            for loader in (config.train_dataloader, config.test_dataloader):
                loader.batch_size = 4
            config.train_dataloader.dataset.indices = 8
            # The first image of every class is among them.
            config.test_dataloader.dataset.indices = 20
        return config

    monkeypatch.setattr(Config, 'fromfile', short)
    done = run_tool('demo', '--task', 'cls', '--work-dir', tmp_path / 'demo')
    assert done.code == 0, done.err
    assert 'missing keys' not in done.out, 'a target has no purifier, and that is no news'
    for line in (
        'target  epoch   1/1',
        'source  epoch   1/1',
        'purifier  epoch   1/1',
        'PGD, gray-box',
        'PGD, transfer',
    ):
        assert line in done.out, done.out
    results = json.loads((tmp_path / 'demo' / 'results.json').read_text())
    assert len(results['results']) == 6
    picture = cv2.imread(str(tmp_path / 'demo' / 'picture.png'))
    assert picture.shape[1] == 1000 and picture.std() > 20
    assert str(Path(tmp_path / 'demo' / 'picture.png')) in done.out


def test_unknown_task(run_tool):
    assert run_tool('demo', '--task', 'depth').code == 2
