"""Whether a stock model can be protected: it is built with random weights, attacked, protected, and run once."""

from __future__ import annotations

import gc
import itertools
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor

from ..hosts import HOSTS
from ..pipelines import dataset_pipeline
from ..pixels import stack
from ..purifiers import STEP
from ..registry import type_name
from ..tasks import task_of
from ..training.preparation import prepare_for_training
from ..training.purifier_config import purifier_config
from .synthetic import BATCH_SIZE, SyntheticImages

ONE_LINE = "data_preprocessor = dict(type='AlignPurifier')"
# Height and width in pixels: small, but with room for the 900 queries of DINO. Classifiers take the size they are for.
DENSE_SIZE = (192, 256)
# Models that pool over larger areas than such small images have.
LARGER = {'mmseg::mobilenet_v3/mobilenet-v3-d8-scratch-s_lraspp_4xb4-320k_cityscapes-512x1024.py': (400, 416)}
# Runners made within the same second would share their logger and message hub.
_serial = itertools.count()


@dataclass
class Check:
    """What happened to one model.

    Attributes:
        config: as it was given.
        task: what kind of model it is; empty if its config cannot be read.
        seconds: that everything took.
        change: the largest change of a pixel that the attack made (0-255).
        loss: of the one training iteration.
        problem: why the model cannot be protected, in a few words; empty if it can.
    """

    config: str
    task: str = ''
    seconds: float = 0.0
    change: Optional[float] = None
    loss: Optional[float] = None
    problem: str = ''

    @property
    def name(self) -> str:
        return self.config.rpartition('/')[2].removesuffix('.py')

    @property
    def works(self) -> bool:
        return not self.problem


class ZooCheckError(Exception):
    """The model ran, but not as promised."""


def check_zoo(configs: Sequence[str], size: Optional[tuple[int, int]] = None) -> Iterator[Check]:
    """:func:`check_model` for each config; a failure does not stop the rest."""
    for config in configs:
        yield check_model(config, size)
        gc.collect()


def check_model(config: str, size: Optional[tuple[int, int]] = None) -> Check:
    """Protect one model as ``tools/train.py`` would, on synthetic images, with one training iteration.

    Args:
        config: a path, or a name such as ``'mmdet::gfl/gfl_r50_fpn_1x_coco.py'``.
        size: height and width of the images in pixels; by default what suits the model.
    """
    check = Check(config)
    start = time.perf_counter()
    try:
        _protect(config, size, check)
    except Exception as error:
        # Whatever a model of the zoo fails with is what the check found.
        check.problem = _in_a_few_words(error)
    check.seconds = time.perf_counter() - start
    return check


def _in_a_few_words(error: Exception, limit: int = 100) -> str:
    line = ' '.join(str(error).split())
    words = line if isinstance(error, ZooCheckError) else f'{type(error).__name__}: {line}'
    return words if len(words) <= limit else words[: limit - 3] + '...'


# --- one model ------------------------------------------------------------------------------------------------------


def protected_config(name: str) -> Config:
    """The config with the one line added, completed by its task's default recipe; it downloads nothing."""
    base = name if '::' in name else str(Path(name).resolve())
    config = Config.fromstring(f'_base_ = [{base!r}]\n{ONE_LINE}\n', '.py')
    config.train_cfg = dict(by_epoch=True, max_epochs=1)
    prepare_for_training(config, random_weights=True)
    return config


def _protect(name: str, size: Optional[tuple[int, int]], check: Check) -> None:
    config = protected_config(name)
    check.task = HOSTS[config.default_scope].task
    size = size or LARGER.get(name) or image_size(config)
    preprocessor = purifier_config(config)
    assert preprocessor is not None, 'the one line puts a purifier there'
    if preprocessor.get('size') is not None:
        # MMSegmentation pads to its crop size in training: here a little, so that it happens, but not to 1024 pixels.
        preprocessor.size = tuple(side + 32 for side in size)
    images = SyntheticImages(
        config.default_scope, size, with_masks=_is_set(config.get('train_dataloader'), 'with_mask')
    )
    watch = _Watch()
    loader = config.get('train_dataloader') or {}
    with tempfile.TemporaryDirectory(prefix='zoo-') as work_dir:
        runner = Runner(
            model=config.model,
            data_preprocessor=config.get('data_preprocessor'),
            work_dir=work_dir,
            train_dataloader=dict(
                batch_size=BATCH_SIZE,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=images,
                **{key: loader[key] for key in ('collate_fn',) if key in loader},
            ),
            train_cfg=config.train_cfg,
            optim_wrapper=config.optim_wrapper,
            default_hooks=dict.fromkeys(('timer', 'logger', 'checkpoint', 'param_scheduler')),
            custom_hooks=[*config.custom_hooks, watch],
            default_scope=config.default_scope,
            experiment_name=f'zoo_{next(_serial)}',
            log_level='ERROR',
            randomness=dict(seed=0),
        )
        num_classes = task_of(runner.model).num_classes
        if num_classes is None:
            raise ZooCheckError('the model predicts no classes')
        images.num_classes = num_classes
        runner.train()
        watch.report(check)
        _predict(runner.model, watch.batch)


class _Watch(Hook):
    """Sees what training did to the images, the purifier and the target."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.batch: dict[str, Any] = {}
        self._losses: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:
        self._model = runner.model
        self._before = {key: value.clone() for key, value in runner.model.state_dict().items()}
        self._hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'PurifierTrainHook')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        self.batch = data_batch or {}
        # Their step is gone once they have been trained on.
        step = self.batch[STEP]
        self._images = stack(step.clean)[0], stack(step.adversarial)[0]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None, outputs: Optional[dict] = None
    ) -> None:
        self._losses = {name: float(value) for name, value in (outputs or {}).items()}

    def report(self, check: Check) -> None:
        """Fill in ``check``.

        Raises:
            ZooCheckError: that says what is wrong.
        """
        clean, adversarial = self._images
        ball, delta = self._hook.attack.ball, adversarial - clean
        check.change = delta.abs().max().item()
        check.loss = self._losses['loss']
        if not delta.flatten(1).abs().amax(1).all():
            raise ZooCheckError('the attack did not change every image')
        if not (ball.size(delta) <= ball.eps + 1e-3).all():
            farthest = ball.size(delta).max()
            raise ZooCheckError(f'the attack moved an image by {farthest:.2f}; its budget is {ball.eps:g}')
        not_finite = [name for name, value in self._losses.items() if not math.isfinite(value)]
        if not_finite:
            raise ZooCheckError(f'not finite: {", ".join(not_finite)}')
        changed = {key for key, value in self._model.state_dict().items() if not _equal(value, self._before[key])}
        if not any(key.startswith('data_preprocessor.generator.') for key in changed):
            raise ZooCheckError('training did not change the generator')
        touched = sorted(key for key in changed if not key.startswith('data_preprocessor.'))
        if touched:
            raise ZooCheckError(f'training changed the target: {", ".join(touched)}')


def _equal(left: Tensor, right: Tensor) -> bool:
    return torch.equal(left, right) or torch.equal(left.nan_to_num(), right.nan_to_num())


def _predict(model: BaseModel, batch: dict[str, Any]) -> None:
    model.eval()
    with torch.no_grad():
        results = model.test_step({'inputs': batch['inputs'], 'data_samples': batch['data_samples']})
    if len(results) != len(batch['inputs']):
        raise ZooCheckError(f'{len(results)} predictions for {len(batch["inputs"])} images')
    fields = ('pred_instances', 'pred_panoptic_seg', 'pred_sem_seg', 'pred_label')
    if not all(any(field in result for field in fields) for result in results):
        raise ZooCheckError(f'the prediction has none of {", ".join(fields)}')


# --- images that suit a model ----------------------------------------------------------------------------------------


def image_size(config: Config, largest: int = 400) -> tuple[int, int]:
    """Height and width that suit a model: the crop of a classifier, the fixed size of an SSD, or else a small size."""
    classifies = not HOSTS[config.default_scope].dense
    for stage in ('test', 'train') if classifies else ('test',):
        # Backwards, because many pipelines resize first and then crop to what the model takes.
        for transform in reversed(_pipeline(config, stage)):
            wanted = transform.get('crop_size') or transform.get('scale')
            fixed = classifies or (type_name(transform.type) == 'Resize' and not transform.get('keep_ratio', True))
            if wanted and fixed:
                width, height = (wanted, wanted) if isinstance(wanted, int) else wanted
                if max(width, height) <= largest:
                    return height, width
    return (224, 224) if classifies else DENSE_SIZE


def _pipeline(config: Config, stage: str) -> list[dict]:
    return dataset_pipeline((config.get(f'{stage}_dataloader') or {}).get('dataset'))


def _is_set(node: Any, key: str) -> bool:
    """Whether ``key`` is true anywhere in nested settings."""
    if isinstance(node, dict):
        return bool(node.get(key)) or any(_is_set(value, key) for value in node.values())
    return isinstance(node, (list, tuple)) and any(_is_set(value, key) for value in node)
