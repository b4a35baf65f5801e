"""What the benchmark of reduced precisions counts."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip('mmpretrain')


def test_accuracies_and_times(load_script):
    """Over all images of all batches, whatever their sizes."""
    benchmark = load_script('reduced_precision')
    # Images whose mean of each channel is a class score.
    source = SimpleNamespace(undisturbed=nullcontext, logits=lambda images: images.mean((2, 3)))
    images = torch.eye(3)[..., None, None].expand(3, 3, 2, 2)
    labels = torch.tensor([0, 1, 2])
    batches = [(images, images.flip(0), labels), (images[:1], images[2:], labels[:1])]
    runs = {'none': lambda images: images, 'flip': lambda images: images.flip(1)}
    # Flipped, only the one in the middle is of its class; unflipped, all.
    assert benchmark.accuracies(source, runs['none'], batches) == ['100.0', '25.0']
    assert benchmark.accuracies(source, runs['flip'], batches) == ['25.0', '100.0']
    times = benchmark.milliseconds(runs, images, 3)
    assert list(times) == ['none', 'flip'] and all(float(value) >= 0 for value in times.values())
