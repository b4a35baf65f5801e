"""Training a purifier with the default recipe for a given time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ...errors import UsageError
from ...hooks.time_limit import Report, TimeLimitHook
from ...models import preprocessor_of, unwrap
from ...purifiers import GeneratorPurifier
from ...purifiers.trained.export import save_purifier_export
from ...training.preparation import prepare_for_training
from ...training.purifier_config import override_purifier, prepare_purifier
from ...training.runner import build_runner

# More iterations than any time allows.
_NO_END = 10**7
# So many iterations should fit into the time, at the price of a smaller batch.
_LEAST_ITERATIONS = 60


def fit_purifier(
    config: Config,
    out: Path,
    seconds: float,
    seconds_per_image: float,
    report: Report,
    trust_checkpoint: bool = False,
) -> int:
    """Train the default purifier in front of a config's model, and export it.

    Args:
        config: of the model, with ``load_from``; changed in place.
        out: file of the export.
        seconds: how long to train.
        seconds_per_image: how long an attack takes for an image, as an estimate of an iteration's time.
        report: of :class:`~mmadvdefense.hooks.TimeLimitHook`.
        trust_checkpoint: see :func:`~mmadvdefense.training.preparation.prepare_for_training`.

    Returns:
        The number of iterations.

    Raises:
        UsageError: if the config has no training data.
    """
    if not (config.get('train_dataloader') or {}).get('dataset'):
        raise UsageError('the config has no train_dataloader with a dataset to fit a purifier on; give --images FOLDER')
    override_purifier(config, dict(type='AlignPurifier'))
    _leave_out(config)
    prepare_for_training(config, trust_checkpoint=trust_checkpoint)
    # Its length would be unknown: TimeLimitHook has the learning rate decay.
    config.param_scheduler = []
    _set_loader(config, seconds, seconds_per_image)
    runner = build_runner(config)
    runner.register_hook(TimeLimitHook(seconds, report=report))
    runner.train()
    purifier = preprocessor_of(unwrap(runner.model))
    assert isinstance(purifier, GeneratorPurifier), 'put there above'
    save_purifier_export(purifier.export(), out)
    return runner.iter


def write_protected_config(config: Config, export: Path, path: Path) -> None:
    """Write the config of the model behind its purifier, for this package's tools and those of its host.

    Args:
        config: of the model; changed in place.
        export: file of the purifier.
        path: where to write it.
    """
    init_cfg = dict(type='Pretrained', checkpoint=str(export.resolve()))
    override_purifier(config, dict(type='AlignPurifier', init_cfg=init_cfg))
    prepare_purifier(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    config.dump(path)


def _leave_out(config: Config) -> None:
    """Replace what is for the model's own training: its loop, evaluation, hooks and checkpoints."""
    config.train_cfg = ConfigDict(by_epoch=False, max_iters=_NO_END, val_interval=_NO_END)
    config.log_processor = ConfigDict(by_epoch=False)
    for name in ('val_cfg', 'val_dataloader', 'val_evaluator', 'test_cfg', 'test_dataloader', 'test_evaluator'):
        config[name] = None
    config.custom_hooks = []
    config.default_hooks = ConfigDict(checkpoint=None, logger=ConfigDict(type='LoggerHook', interval=10))
    config.visualizer = None
    config.resume = False


def _set_loader(config: Config, seconds: float, seconds_per_image: float) -> None:
    loader: Any = config.train_dataloader
    base = (config.get('auto_scale_lr') or {}).get('base_batch_size', 4)
    wanted = int(seconds / (_LEAST_ITERATIONS * max(seconds_per_image, 1e-6)))
    loader.batch_size = max(2, min(base, wanted))
    # The loop of epochs would pause between them.
    loader.sampler = ConfigDict(type='InfiniteSampler', shuffle=True)
    loader.num_workers = min(loader.get('num_workers', 0), (os.cpu_count() or 1) - 1)
    loader.persistent_workers = loader.num_workers > 0
    if not loader.num_workers:
        loader.pop('prefetch_factor', None)
