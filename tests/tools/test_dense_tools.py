"""Detectors and segmentors with the tools alone: target, purifier, attack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmadvdefense.datasets import write_digit_scenes

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')
ROOT = Path(__file__).parents[2]
SHORT = (
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'param_scheduler=None',
    'train_dataloader.batch_size=2',
    'train_dataloader.dataset.indices=4',
    'val_dataloader.dataset.indices=2',
    'test_dataloader.dataset.indices=2',
    'log_level=WARNING',
)


@pytest.mark.parametrize(
    ('task', 'attack', 'metric'), [('det', 'fgsm_det_cls_loc_test', 'pascal_voc/mAP'), ('seg', 'bim_seg_test', 'mIoU')]
)
def test_from_target_to_table(task, attack, metric, run_tool, tmp_path):
    write_digit_scenes(tmp_path / 'data' / 'digit_scenes', num_train=4, num_test=2)
    options = ('--cfg-options', *SHORT)
    target = run_tool(
        'train', ROOT / 'configs' / 'target' / f'scenes_{task}_target.py', '--work-dir', 'target', *options
    )
    assert target.code == 0, target.err
    defense = ROOT / 'configs' / 'demo' / f'scenes_{task}_align.py'
    trained = run_tool('train', defense, '--work-dir', 'purifier', *options, 'load_from=target/epoch_1.pth')
    assert trained.code == 0, trained.err
    tested = run_tool(
        'test', defense, 'purifier/epoch_1.pth', '--attack', ROOT / 'configs' / 'attacks' / f'{attack}.py',
        '--out', 'results.json', *options,
    )  # fmt: skip
    assert tested.code == 0, tested.err
    results = json.loads(Path('results.json').read_text())['results']
    assert [row['purifier'] for row in results] == [False, True, False, True]
    assert all(metric in row['metrics'] for row in results)
    attacked = results[2]['measured']
    assert 7 < attacked['perturbation/linf_mean'] <= attacked['perturbation/linf_max'] <= 8.001


@pytest.mark.parametrize('workers', [0, 1])
def test_an_image_that_cannot_be_read_is_named(workers, run_tool, tmp_path):
    root = write_digit_scenes(tmp_path / 'data' / 'digit_scenes', num_train=4, num_test=2)
    (root / 'VOC2012' / 'JPEGImages' / 'train_0002.jpg').write_bytes(b'no image')
    options = ('--cfg-options', *SHORT, f'train_dataloader.num_workers={workers}')
    done = run_tool('train', ROOT / 'configs' / 'target' / 'scenes_seg_target.py', '--work-dir', 'target', *options)
    assert 'train_0002.jpg is no image that can be read' in done.error
