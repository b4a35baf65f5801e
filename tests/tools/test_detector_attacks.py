"""Attacks on a detector by name: what they need, and images without objects."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from mmadvdefense.datasets import write_digit_scenes

pytest.importorskip('mmdet')
ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs' / 'target' / 'scenes_det_target.py'
OPTIONS = ('--cfg-options', 'test_dataloader.dataset.indices=2', 'log_level=WARNING')
PGD = ('PGD', '--eps', 8, '--step-size', 2, '--steps', 1)


@pytest.fixture(scope='module')
def scenes(tmp_path_factory) -> Path:
    return write_digit_scenes(tmp_path_factory.mktemp('data') / 'digit_scenes', num_train=1, num_test=2)


@pytest.fixture
def detect(scenes, tmp_path, run_tool):
    """Test a detector with random weights under an attack."""
    from mmadvdefense.models import build_model

    shutil.copytree(scenes, tmp_path / 'data' / 'digit_scenes')
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(str(CONFIG))
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'detector.pth')

    def run(*arguments):
        return run_tool('test', CONFIG, tmp_path / 'detector.pth', '--attack', *arguments, *OPTIONS)

    return run


def test_what_is_not_for_detectors(detect):
    scores = 'a detector has no one set of class scores; '
    cases = {
        f'PGD: {scores}use an objective on its losses': PGD,
        f'DPatch: {scores}use an objective on its losses': ('DPatch', '--steps', 1),
        f'ALMAProx needs class scores, .* and segmentors have: {scores}use a gradient attack': ('ALMAProx',),
        'SegPGD is for segmentors: a detector predicts no class for every pixel': ('SegPGD', *PGD[1:]),
        'SEA is for segmentors: a detector': ('SEA', '--eps', 8),
        'AutoAttack needs one predicted class per image, which no model for detection has': (
            'AutoAttack', '--eps', 8
        ),
        'PGD: there is no target class 10; the model has 10 classes, 0 to 9': (
            *PGD, '--objective', 'mislabel', '--targeted', 'class_10'
        ),
        r'DPatch: area is the share of the image .* got 2\.0': ('DPatch', '--area', 2, '--objective', 'cls'),
    }  # fmt: skip
    for message, arguments in cases.items():
        assert re.search(message, detect(*arguments).error), message


def test_nothing_to_vanish(detect, tmp_path):
    """An image without objects is left as it is, and counted among those without ground truth."""
    path = tmp_path / 'data' / 'digit_scenes' / 'VOC2012' / 'Annotations' / 'test_0001.xml'
    path.write_text(re.sub('<object>.*</object>', '', path.read_text(), flags=re.DOTALL))
    done = detect(*PGD, '--objective', 'vanish', '--out', 'out.json')
    assert done.code == 0, done.err[-3000:]
    attacked = json.loads(Path('out.json').read_text())['results'][1]
    mean, most = (attacked['measured'][f'perturbation/linf_{what}'] for what in ('mean', 'max'))
    assert mean == pytest.approx(4) and most == pytest.approx(8)
    assert attacked['scores']['without_truth'] == 1
    assert '1 of 2 have no ground truth and are left out' in done.out


def test_what_is_not_for_classifiers(run_tool, config, trained):
    cases = {
        'SegPGD is for segmentors: a classifier predicts no class for every pixel; use PGD': ('SegPGD', *PGD[1:]),
        'DetectionDAG with ProposalObjective is for detectors': ('DetectionDAG', '--eps', 8),
        'PGD with VanishObjective is for detectors': (*PGD, '--objective', 'vanish'),
        "'untargeted' is for detectors; use 'task_loss' for a classifier": (*PGD, '--objective', 'untargeted'),
        'PGD: there is no target class 10; the model has 10 classes, 0 to 9': (*PGD, '--targeted', 'class_10'),
        'DPatch: area is the share of the image .* got 1.0': ('DPatch', '--area', 1),
    }
    for message, arguments in cases.items():
        assert re.search(message, run_tool('test', config, trained, '--attack', *arguments).error), message
