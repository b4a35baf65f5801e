"""Where a purifier stops, told from Gaussian noise."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmadvdefense.evaluation.stopping import add_gaussian_noise, metric_by_step, stopping_step
from mmadvdefense.randomness import Randomness, derive_seed

pytest.importorskip('mmpretrain')


@pytest.mark.parametrize(
    ('curve', 'tolerance', 'expected'),
    [
        ({25: 10.0, 50: 60.0, 100: 79.5, 200: 80.0}, 0.01, 100),
        ({25: 10.0, 50: 60.0, 100: 79.5, 200: 80.0}, 0.0, 200),
        # The noise comes back.
        ({25: 10.0, 50: 80.0, 100: 70.0, 200: 60.0}, 0.01, 50),
        # A fraction instead of per cent, and no order.
        ({200: 0.5, 50: 0.496, 25: 0.3}, 0.01, 50),
        ({25: 0.0, 50: 0.0}, 0.01, None),
    ],
)
def test_stopping_step(curve, tolerance, expected):
    assert stopping_step(curve, tolerance) == expected


def test_noise_is_in_pixels_and_each_image_s_own():
    images = torch.full((3, 3, 64, 64), 127.0)
    noisy = add_gaussian_noise(images, 20.0, Randomness([1, 2, 3]))
    assert (noisy - images).std() == pytest.approx(20, rel=0.02)
    alone = add_gaussian_noise([images[1], images[2, :, :5]], 20.0, Randomness([2, 3]))
    assert torch.equal(alone[0], noisy[1])
    assert alone[1].shape == (3, 5, 64) and not torch.equal(alone[1], images[2, :, :5])
    strong = add_gaussian_noise(images, 500.0, Randomness([1, 2, 3]))
    assert strong.min() == 0 and strong.max() == 255


class Images(Dataset):
    metainfo = dict(classes=list('abcde'))

    def __init__(self, images, samples):
        self.items = [dict(inputs=image, data_samples=sample) for image, sample in zip(images, samples)]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def _collate(items):
    return dict(inputs=torch.stack([item['inputs'] for item in items]), data_samples=[i['data_samples'] for i in items])


def _accuracy(model, images, samples) -> float:
    logits = model(model.data_preprocessor.native(dict(inputs=images))['inputs'], mode='tensor')
    return (logits.argmax(1) == torch.cat([sample.gt_label for sample in samples])).double().mean().item() * 100


@torch.no_grad()
def test_metric_by_step(make_classifier, make_images, make_samples):
    model = make_classifier(
        type='OAGPurifier', num_steps=9, image_steps=3, learning_rate=0.01, network=dict(type='EnergyNetworks')
    ).eval()
    images, samples = make_images(10, 3, 8, 8), make_samples(10)
    # Labels that the model gets right about half the time, so that a mix-up shows.
    labels = model(model.data_preprocessor.native(dict(inputs=images))['inputs'], mode='tensor').argmax(1)
    for index, sample in enumerate(samples):
        sample.set_gt_label((int(labels[index]) + index % 2) % 5)
    loader = DataLoader(Images(images, samples), batch_size=4, collate_fn=_collate)
    metric, curve = metric_by_step(model, loader, dict(type='mmpretrain.Accuracy'), [2, 5], sigma=10.0, seed=3)
    assert metric == 'accuracy/top1' and list(curve) == [0, 2, 5]

    names = [sample.sample_idx for sample in samples]
    noisy = add_gaussian_noise(images, 10.0, Randomness([derive_seed(3, 'gaussian', str(name)) for name in names]))
    purifier = model.data_preprocessor
    assert purifier.enabled
    randomness = Randomness([derive_seed(0, 'purify', str(name)) for name in names])
    expected = [noisy, *purifier.trajectory(noisy, randomness, [2, 5])]
    assert list(curve.values()) == pytest.approx([_accuracy(model, state, samples) for state in expected])
    # Without noise the model sees what its labels were made from.
    _, clean = metric_by_step(model, loader, dict(type='mmpretrain.Accuracy'), [2], sigma=0.0)
    assert clean[0] == pytest.approx(50)
