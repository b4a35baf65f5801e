"""Purifiers and models that are small enough to be built for every test."""

from __future__ import annotations

import pytest
import torch

from mmadvdefense.purifiers import AlignPurifier
from mmadvdefense.purifiers.trained.export import save_purifier_export


@pytest.fixture
def export_file(tmp_path) -> str:
    """A generator that changes images visibly, as ``tools/export_purifier.py`` writes it."""
    network = dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)
    purifier = AlignPurifier(generator=network, native_type='mmengine.ImgDataPreprocessor')
    torch.nn.init.normal_(purifier.generator.head.weight, std=0.2)
    purifier.num_updates += 3
    save_purifier_export(purifier.export(), tmp_path / 'purifier.pth')
    return str(tmp_path / 'purifier.pth')
