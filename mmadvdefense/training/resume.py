"""Which checkpoint a training continues from, and with which seed."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config, ConfigDict


def choose_checkpoint(config: Config, resume: Optional[str] = None) -> None:
    """Set ``resume`` and ``load_from``.

    Args:
        config: its own ``resume=True`` without a ``load_from`` means the latest checkpoint, too.
        resume: ``'auto'`` for the latest checkpoint of the work directory, or a checkpoint; None for what the config
            says.
    """
    from_latest = config.get('resume') and not config.get('load_from') and not resume
    if resume == 'auto' or from_latest:
        # Before the first checkpoint there is nothing to continue from: begin as if it had not been asked for.
        work_dir = config.get('work_dir')
        latest = latest_checkpoint(Path(work_dir)) if work_dir else None
        config.resume = latest is not None
        if config.resume:
            config.load_from = str(latest)
    elif resume:
        config.resume = True
        config.load_from = resume


def latest_checkpoint(work_dir: Path) -> Optional[Path]:
    """The checkpoint that MMEngine noted last, or the newest one there is.

    The note is empty if the process was killed or the disk was full when it was written, and wrong if the folder moved.
    """
    note = work_dir / 'last_checkpoint'
    noted = Path(note.read_text().strip()) if note.exists() else Path()
    if noted.is_file():
        return noted
    checkpoints = [*work_dir.glob('epoch_*.pth'), *work_dir.glob('iter_*.pth')]
    # Written within one tick of the clock, the higher number is the later one.
    return max(checkpoints, key=lambda path: (path.stat().st_mtime, int(path.stem.rpartition('_')[2])), default=None)


def keep_seed(config: Config) -> None:
    """Continue with the seed of the run that is resumed.

    MMEngine does so too, but only after it has given the data loader another one.
    """
    if config.get('resume') and Path(config.get('load_from') or '').is_file():
        # No weights are read.
        seed = torch.load(config.load_from, map_location='meta').get('meta', {}).get('seed')
        if seed is not None:
            if config.get('randomness') is None:
                config.randomness = ConfigDict()
            config.randomness.seed = seed
