"""``tools/train.py --images-per-class``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]
SHORT = 'train_cfg = dict(max_epochs=1)\ntrain_dataloader = dict(dataset=dict(indices=400))'


def test_trains_on_so_many_images(run_tool, child, tmp_path):
    config = child('few', SHORT)
    done = run_tool('train', config, '--images-per-class', 1, '--images-seed', 5, '--work-dir', tmp_path / 'work')
    assert done.code == 0, done.err[-2000:]
    state = torch.load(tmp_path / 'work' / 'epoch_1.pth', weights_only=True)['state_dict']
    assert int(state['data_preprocessor.num_updates']) == 3, 'ten images in batches of four'
    written = Config.fromfile(tmp_path / 'work' / 'few.py').train_dataloader.dataset
    assert (written.type, written.number, written.seed) == ('ImagesPerClass', 1, 5)
    assert written.dataset.type == 'HandwrittenDigits' and written.dataset.indices == 400


def test_mistakes_end_in_one_line(run_tool, child, config, tmp_path):
    few = run_tool('train', config, '--images-per-class', 5, '--work-dir', tmp_path / 'work')
    assert 'HandwrittenDigits has' in few.error and 'fewer than 5' in few.error
    none = run_tool('train', child('few', SHORT), '--images-per-class', 0, '--work-dir', tmp_path / 'work')
    assert 'number must be an integer >= 1, got 0' in none.error
    dense = ROOT / 'configs' / 'target' / 'scenes_seg_target.py'
    other = run_tool('train', dense, '--images-per-class', 5, '--work-dir', tmp_path / 'work')
    assert '--images-per-class is for image classification, not for mmseg configs' in other.error
