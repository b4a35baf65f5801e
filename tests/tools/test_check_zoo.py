"""The table of stock models from the command line."""

from __future__ import annotations

import logging
import warnings

import pytest

pytest.importorskip('mmpretrain')


@pytest.fixture
def quiet():
    """The tool silences its process."""
    with warnings.catch_warnings():
        yield
    logging.disable(logging.NOTSET)


def test_what_does_not_work_is_in_the_table_and_in_the_exit_status(run_tool, quiet, tmp_path):
    config = tmp_path / 'broken.py'
    config.write_text(
        "default_scope = 'mmpretrain'\n"
        "model = dict(type='ImageClassifier', backbone=dict(type='NoSuchBackbone'),\n"
        "             head=dict(type='LinearClsHead', num_classes=2, in_channels=2))\n"
        'train_cfg = dict(by_epoch=True, max_epochs=1)\n'
    )
    tool = run_tool('check_zoo', config, '--out', tmp_path / 'zoo.md')
    assert tool.code == 1, tool
    assert tool.out.splitlines()[-1] == '0 of 1 work'
    assert '| broken | classification | no | KeyError' in (tmp_path / 'zoo.md').read_text()
