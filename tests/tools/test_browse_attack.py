"""``tools/analysis/browse_attack.py``: a picture for each image."""

from __future__ import annotations

import re
from pathlib import Path

import mmcv
import numpy as np
import pytest

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]


def test_pictures_of_an_attack(run_tool, target_checkpoint, tmp_path):
    config = ROOT / 'configs' / 'target' / 'digits_target.py'
    options = ('--work-dir', 'out', '--num-images', 3, '--cfg-options', 'test_dataloader.num_workers=0')
    done = run_tool('analysis/browse_attack', config, target_checkpoint, '--attack', 'FGSM', '--eps', 4, *options)
    assert done.code == 0, done.err[-3000:]
    assert re.search(r'FGSM \(L-inf 4\b.*: pictures of clean, adversarial and perturbation x 10 in', done.out)
    pictures = sorted((tmp_path / 'out' / 'browse_attack').glob('*.png'))
    assert [path.name[:5] for path in pictures] == ['0000_', '0001_', '0002_']
    for path in pictures:
        picture = mmcv.imread(str(path))
        assert picture.shape == (224, 3 * 224, 3)
        clean, adversarial, difference = np.split(picture.astype(int), 3, axis=1)
        # 40 around mid-grey.
        assert difference.min() == 88 and difference.max() == 168
        assert (clean != adversarial).any()

    for message, arguments in {
        'give the checkpoint of .*digits_target.py as the second argument': [config],
        'attack config not found: nowhere.py': [config, target_checkpoint, '--attack', 'nowhere.py'],
        'checkpoint not found: nowhere.pth': [config, 'nowhere.pth'],
    }.items():
        done = run_tool('analysis/browse_attack', *arguments)
        assert re.search(message, done.error), done.error
