from __future__ import annotations

from typing import Any, Callable

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.purifiers import PatchDatabase, Purifier

NATIVE = {
    'mmpretrain': dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True, num_classes=10),
    'mmseg': dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True, size=(16, 12)),
    'mmdet': dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_size_divisor=8),
}


@pytest.fixture
def build_purifier() -> Callable[..., Purifier]:
    """A purifier in front of a host's own preprocessor, from its config."""

    def build(config: dict, scope: str = 'mmpretrain', **native: Any) -> Purifier:
        with DefaultScope.overwrite_default_scope(scope):
            return MODELS.build({**NATIVE[scope], **native, **config}).eval()

    return build


@pytest.fixture(scope='session')
def patch_file(tmp_path_factory) -> str:
    """A database of 300 patches of noise."""
    noise = torch.rand(30, 3, 9, 9, generator=torch.Generator().manual_seed(3)) * 255
    path = tmp_path_factory.mktemp('patches') / 'patches.pth'
    PatchDatabase.draw([noise], 'bgr').save(path)
    return str(path)
