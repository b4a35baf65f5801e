"""Resuming a training: choice of checkpoint and seed."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config, ConfigDict


def choose_checkpoint(config: Config, resume: Optional[str] = None) -> None:
    """Set ``resume`` and ``load_from``.

    Args:
        config: ``resume=True`` without ``load_from`` in the config also means the latest checkpoint.
        resume: ``'auto'`` for the latest checkpoint of the work directory, or a checkpoint; None to follow the config.
    """
    from_latest = config.get('resume') and not config.get('load_from') and not resume
    if resume == 'auto' or from_latest:
        # Without a checkpoint there is nothing to resume: start from the beginning.
        work_dir = config.get('work_dir')
        latest = latest_checkpoint(Path(work_dir)) if work_dir else None
        config.resume = latest is not None
        if config.resume:
            config.load_from = str(latest)
    elif resume:
        config.resume = True
        config.load_from = resume


def latest_checkpoint(work_dir: Path) -> Optional[Path]:
    """The checkpoint that MMEngine recorded last, or else the newest file.

    The record is empty if the process was killed or the disk was full while writing it, and stale if the folder was
    moved.
    """
    note = work_dir / 'last_checkpoint'
    noted = Path(note.read_text().strip()) if note.exists() else Path()
    if noted.is_file():
        return noted
    checkpoints = [*work_dir.glob('epoch_*.pth'), *work_dir.glob('iter_*.pth')]
    # Equal modification times are resolved by number.
    return max(checkpoints, key=lambda path: (path.stat().st_mtime, int(path.stem.rpartition('_')[2])), default=None)


def keep_seed(config: Config) -> None:
    """Use the seed of the resumed run.

    MMEngine does so, too, but only after seeding the data loader differently.
    """
    if config.get('resume') and Path(config.get('load_from') or '').is_file():
        # Does not read the weights.
        seed = torch.load(config.load_from, map_location='meta').get('meta', {}).get('seed')
        if seed is not None:
            if config.get('randomness') is None:
                config.randomness = ConfigDict()
            config.randomness.seed = seed
