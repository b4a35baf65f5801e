"""``AdversarialVisualizationHook``: pictures in the host's visualizer, and no trace of it in the training."""

from __future__ import annotations

from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch

from mmadvdefense.errors import UsageError
from mmadvdefense.hooks import AdversarialVisualizationHook
from mmadvdefense.hooks.adversarial_visualization import PredictionDrawer
from mmadvdefense.tasks import task_of

BACKENDS = dict(visualizer=dict(_delete_=True, type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')]))


def _pictures(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.name: mmcv.imread(str(path), channel_order='rgb') for path in folder.rglob('vis_image/adversarial_*.png')
    }


def test_every_interval_and_without_a_trace(train, tmp_path):
    hook = AdversarialVisualizationHook(interval=2, num_images=2, gain=10)
    runner, spy = train(lambda runner: runner.register_hook(hook), images=16, **BACKENDS)
    bare, other = train(images=16)
    assert spy.outputs == other.outputs
    theirs = bare.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in runner.model.state_dict().items())
    pictures = _pictures(tmp_path)
    # Iterations 2 and 4 of four, with two images each.
    assert sorted(name.rpartition('_')[2] for name in pictures) == ['2.png', '2.png', '4.png', '4.png']
    for picture in pictures.values():
        assert picture.shape == (224, 4 * 224, 3)
        clean, adversarial, purified, difference = np.split(picture.astype(int), 4, axis=1)
        # FGSM moves values by 8 at most, which shows as 80 around mid-grey.
        values = np.unique(difference)
        assert {48, 208} <= set(values) and values.min() == 48 and values.max() == 208
        assert np.abs(adversarial - clean).max() >= 7 and np.abs(purified - clean).max() >= 7


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet'])
def test_dense_hosts(make_task_runner, tmp_path, scope):
    losses = [dict(type='PixelReconstructionLoss')]
    attack = dict(type='FGSM', eps=8, objective='task_loss')
    train_hook = dict(type='PurifierTrainHook', attack=attack, losses=losses, require_checkpoint=False)
    purifier = dict(
        type='AlignPurifier', generator=dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1)
    )
    runner, _ = make_task_runner(scope, [train_hook, dict(type='AdversarialVisualizationHook', interval=1)], purifier)
    saved = {}
    runner.visualizer.add_image = lambda name, image, step: saved.update({(name, step): image})
    number = task_of(runner.model).num_classes
    names = [f'c{index}' for index in range(number)]
    runner.train_dataloader.dataset.metainfo = dict(classes=names, palette=[(255, 0, 0)] * number)
    runner.train()
    ((name, step), picture) = next(iter(saved.items()))
    assert len(saved) == 1 and (name, step) == ('adversarial_0', 1)
    assert picture.dtype == np.uint8 and picture.shape == (64, 4 * 96, 3)


def test_bad_settings(train):
    with pytest.raises(UsageError, match='interval must be an integer >= 1, got 0'):
        AdversarialVisualizationHook(interval=0)
    with pytest.raises(UsageError, match='goes with one PurifierTrainHook or AdversarialTrainingHook'):
        AdversarialVisualizationHook().before_train(type('Runner', (), dict(hooks=[])))


def test_channels_are_drawn_in_their_order(tiny_classifier, image_batch):
    image = torch.zeros(3, 224, 224)
    image[0] = 255
    sample = tiny_classifier.eval().test_step(dict(inputs=image[None]))[0]
    for order, channel in (('rgb', 0), ('bgr', 2), (None, 0)):
        picture = PredictionDrawer(tiny_classifier, order)([image, image], [sample, sample], image)
        assert picture.shape == (224, 3 * 224, 3)
        assert picture[-1, 0].tolist() == [255 * (index == channel) for index in range(3)]
        assert (picture[:, 2 * 224 :] == 128).all() or (picture[:, 2 * 224 :] == 127).all()
