"""Whether a stock model can be protected: built with random weights, attacked, trained in front of, and asked once."""

from __future__ import annotations

import gc
import itertools
import math
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from ..pipelines import dataset_pipeline
from ..pixels import stack
from ..purifiers import STEP
from ..registry import type_name
from ..tasks import ClassificationTask, DetectionTask, SegmentationTask, task_of
from ..training.preparation import prepare_for_training
from ..training.purifier_config import purifier_config
from .synthetic import BATCH_SIZE, SyntheticImages

# Model configs that ship inside the hosts, by the folder of the host's configs.
ZOO: dict[str, str] = {
    'mmdet::faster_rcnn': 'faster-rcnn_r50_fpn_1x_coco',
    'mmdet::mask_rcnn': 'mask-rcnn_r50_fpn_1x_coco',
    'mmdet::cascade_rcnn': 'cascade-rcnn_r50_fpn_1x_coco cascade-mask-rcnn_r50_fpn_1x_coco',
    'mmdet::sparse_rcnn': 'sparse-rcnn_r50_fpn_1x_coco',
    'mmdet::retinanet': 'retinanet_r18_fpn_1x_coco',
    'mmdet::fcos': 'fcos_r50-caffe_fpn_gn-head_1x_coco',
    'mmdet::atss': 'atss_r50_fpn_1x_coco',
    'mmdet::gfl': 'gfl_r50_fpn_1x_coco',
    'mmdet::tood': 'tood_r50_fpn_1x_coco',
    'mmdet::vfnet': 'vfnet_r50_fpn_1x_coco',
    'mmdet::yolox': 'yolox_tiny_8xb8-300e_coco',
    'mmdet::yolo': 'yolov3_d53_8xb8-320-273e_coco yolov3_mobilenetv2_8xb24-320-300e_coco',
    'mmdet::yolof': 'yolof_r50-c5_8xb8-1x_coco',
    'mmdet::rtmdet': 'rtmdet_tiny_8xb32-300e_coco',
    'mmdet::ssd': 'ssd300_coco ssdlite_mobilenetv2-scratch_8xb24-600e_coco',
    'mmdet::centernet': 'centernet_r18_8xb16-crop512-140e_coco',
    'mmdet::yolact': 'yolact_r50_1xb8-55e_coco',
    'mmdet::solov2': 'solov2-light_r18_fpn_ms-3x_coco',
    'mmdet::detr': 'detr_r18_8xb2-500e_coco',
    'mmdet::conditional_detr': 'conditional-detr_r50_8xb2-50e_coco',
    'mmdet::dab_detr': 'dab-detr_r50_8xb2-50e_coco',
    'mmdet::deformable_detr': 'deformable-detr_r50_16xb2-50e_coco',
    'mmdet::dino': 'dino-4scale_r50_8xb2-12e_coco',
    'mmdet::mask2former': 'mask2former_r50_8xb2-lsj-50e_coco',
    'mmseg::pspnet': 'pspnet_r18-d8_4xb2-80k_cityscapes-512x1024',
    'mmseg::deeplabv3': 'deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024',
    'mmseg::deeplabv3plus': 'deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024',
    'mmseg::fcn': 'fcn_r18-d8_4xb2-80k_cityscapes-512x1024',
    'mmseg::unet': 'unet-s5-d16_fcn_4xb4-40k_drive-64x64',
    'mmseg::upernet': 'upernet_r18_4xb2-40k_cityscapes-512x1024',
    'mmseg::swin': 'swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512',
    'mmseg::ocrnet': 'ocrnet_hr18s_4xb2-40k_cityscapes-512x1024',
    'mmseg::segformer': 'segformer_mit-b0_8xb2-160k_ade20k-512x512',
    'mmseg::segnext': 'segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512',
    'mmseg::bisenetv2': 'bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024',
    'mmseg::fastscnn': 'fast_scnn_8xb4-160k_cityscapes-512x1024',
    'mmseg::segmenter': 'segmenter_vit-t_mask_8xb1-160k_ade20k-512x512',
    'mmseg::pidnet': 'pidnet-s_2xb6-120k_1024x1024-cityscapes',
    'mmseg::ddrnet': 'ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024',
    'mmseg::mobilenet_v3': 'mobilenet-v3-d8-scratch-s_lraspp_4xb4-320k_cityscapes-512x1024',
    'mmseg::point_rend': 'pointrend_r50_4xb2-80k_cityscapes-512x1024',
    'mmseg::knet': 'knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512',
    'mmseg::mask2former': 'mask2former_r50_8xb2-90k_cityscapes-512x1024',
    'mmpretrain::resnet': 'resnet18_8xb32_in1k resnet50_8xb32-mixup_in1k resnet18_8xb16_cifar10',
    'mmpretrain::resnext': 'resnext50-32x4d_8xb32_in1k',
    'mmpretrain::vgg': 'vgg11_8xb32_in1k',
    'mmpretrain::densenet': 'densenet121_4xb256_in1k',
    'mmpretrain::mobilenet_v2': 'mobilenet-v2_8xb32_in1k',
    'mmpretrain::mobilenet_v3': 'mobilenet-v3-small_8xb128_in1k',
    'mmpretrain::efficientnet': 'efficientnet-b0_8xb32_in1k',
    'mmpretrain::convnext': 'convnext-tiny_32xb128_in1k',
    'mmpretrain::vision_transformer': 'vit-base-p32_64xb64_in1k',
    'mmpretrain::swin_transformer': 'swin-tiny_16xb64_in1k',
    'mmpretrain::deit': 'deit-tiny_4xb256_in1k deit-tiny-distilled_4xb256_in1k',
    'mmpretrain::levit': 'levit-128s_8xb256_in1k',
    'mmpretrain::inception_v3': 'inception-v3_8xb32_in1k',
    'mmpretrain::mlp_mixer': 'mlp-mixer-base-p16_64xb64_in1k',
}

ONE_LINE = "data_preprocessor = dict(type='AlignPurifier')"
# Pixels, height and width; small, but with room for the 900 queries of DINO. Classifiers take what they were made for.
DENSE_SIZE = (192, 256)
# Models that pool over more than so small an image has.
LARGER = {'mmseg::mobilenet_v3/mobilenet-v3-d8-scratch-s_lraspp_4xb4-320k_cityscapes-512x1024.py': (400, 416)}
TASKS = {'mmpretrain': ClassificationTask.name, 'mmseg': SegmentationTask.name, 'mmdet': DetectionTask.name}
# What the results depend on, as it is called where it is installed from.
STACK = ('torch', 'mmengine', 'mmcv', 'mmpretrain', 'mmsegmentation', 'mmdet')
# Runners of one second would share their logger and message hub.
_serial = itertools.count()


def zoo_configs() -> list[str]:
    """The names of all stock configs of the list, as MMEngine's ``_base_`` takes them."""
    return [f'{folder}/{name}.py' for folder, names in ZOO.items() for name in names.split()]


@dataclass
class Check:
    """What happened to one model.

    Attributes:
        config: as it was asked for.
        task: what kind of model it is; empty if its config cannot be read.
        seconds: of everything.
        change: the largest change of a pixel that the attack made (0-255).
        loss: of the one training iteration.
        problem: in a few words why the model cannot be protected; empty if it can.
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
    """The model ran, but something came out wrong."""


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
        # Whatever a model of the zoo fails with is the finding.
        check.problem = _in_a_few_words(error)
    check.seconds = time.perf_counter() - start
    return check


def _in_a_few_words(error: Exception, limit: int = 100) -> str:
    line = ' '.join(str(error).split())
    words = line if isinstance(error, ZooCheckError) else f'{type(error).__name__}: {line}'
    return words if len(words) <= limit else words[: limit - 3] + '...'


# --- one model ------------------------------------------------------------------------------------------------------


def protected_config(name: str) -> Config:
    """The config with the one line added and completed by its task's default recipe; nothing of it is downloaded."""
    base = name if '::' in name else str(Path(name).resolve())
    config = Config.fromstring(f'_base_ = [{base!r}]\n{ONE_LINE}\n', '.py')
    config.train_cfg = dict(by_epoch=True, max_epochs=1)
    prepare_for_training(config, random_weights=True)
    return config


def _protect(name: str, size: Optional[tuple[int, int]], check: Check) -> None:
    config = protected_config(name)
    check.task = TASKS[config.default_scope]
    size = size or LARGER.get(name) or image_size(config)
    preprocessor = purifier_config(config)
    if preprocessor.get('size') is not None:
        # MMSegmentation pads to its crop size in training: a little, so that it happens, but not to 1024 pixels.
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
        images.num_classes = task_of(runner.model).num_classes
        runner.train()
        watch.report(check)
        _predict(runner, watch.batch)


class _Watch(Hook):
    """Sees what the training did to the images, the purifier and the target."""

    priority = 'LOWEST'

    def before_train(self, runner) -> None:
        self._model = runner.model
        self._before = {key: value.clone() for key, value in runner.model.state_dict().items()}
        self._hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'PurifierTrainHook')

    def before_train_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        self.batch = data_batch
        # Their step is gone once they have been trained on.
        self._images = stack(data_batch[STEP].clean)[0], stack(data_batch[STEP].adversarial)[0]

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: Optional[dict] = None) -> None:
        self._losses = {name: float(value) for name, value in outputs.items()}

    def report(self, check: Check) -> None:
        """Fill in ``check``.

        Raises:
            ZooCheckError: what is wrong.
        """
        clean, adversarial = self._images
        ball, delta = self._hook.attack.ball, adversarial - clean
        check.change = delta.abs().max().item()
        check.loss = self._losses['loss']
        if not delta.flatten(1).abs().amax(1).all():
            raise ZooCheckError('the attack left an image as it was')
        if not (ball.size(delta) <= ball.eps + 1e-3).all():
            raise ZooCheckError(f'the attack went {ball.size(delta).max():.2f} far, its budget is {ball.eps:g}')
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


def _predict(runner: Runner, batch: dict) -> None:
    model: nn.Module = runner.model
    model.eval()
    with torch.no_grad():
        results = model.test_step({'inputs': batch['inputs'], 'data_samples': batch['data_samples']})
    if len(results) != len(batch['inputs']):
        raise ZooCheckError(f'{len(results)} predictions for {len(batch["inputs"])} images')
    fields = ('pred_instances', 'pred_panoptic_seg', 'pred_sem_seg', 'pred_label')
    if not all(any(field in result for field in fields) for result in results):
        raise ZooCheckError(f'the prediction has none of {", ".join(fields)}')


# --- synthetic images -----------------------------------------------------------------------------------------------


def image_size(config: Config, largest: int = 400) -> tuple[int, int]:
    """Height and width that suit a model: the crop of a classifier, the fixed size of an SSD, else a small one."""
    classifies = config.default_scope == 'mmpretrain'
    for stage in ('test', 'train') if classifies else ('test',):
        # Backwards: many pipelines resize first, and crop what the model takes.
        for transform in reversed(_pipeline(config, stage)):
            wanted = transform.get('crop_size') or transform.get('scale')
            fixed = classifies or (type_name(transform.type) == 'Resize' and not transform.get('keep_ratio', True))
            if wanted and fixed:
                width, height = (wanted, wanted) if isinstance(wanted, int) else wanted
                if max(width, height) <= largest:
                    return height, width
    return (224, 224) if classifies else DENSE_SIZE


def _pipeline(config: Config, stage: str) -> list:
    return dataset_pipeline((config.get(f'{stage}_dataloader') or {}).get('dataset'))


def _is_set(node, key: str) -> bool:
    """Whether ``key`` is true anywhere in nested settings."""
    if isinstance(node, dict):
        return bool(node.get(key)) or any(_is_set(value, key) for value in node.values())
    return isinstance(node, (list, tuple)) and any(_is_set(value, key) for value in node)


# --- tables ---------------------------------------------------------------------------------------------------------


def zoo_table(checks: Sequence[Check]) -> str:
    """One row a model, for a terminal."""
    from terminaltables import AsciiTable

    header = ['model', 'works', 'attack\nL-inf (0-255)', 'loss', 'seconds', 'why not']
    rows = [
        [
            check.name,
            'yes' if check.works else 'no',
            _number(check.change),
            _number(check.loss),
            f'{check.seconds:.0f}',
            check.problem,
        ]
        for check in checks
    ]
    return AsciiTable([header, *rows]).table


def _number(value: Union[float, None]) -> str:
    return '-' if value is None else f'{value:.2f}'


PAGE = """# Stock models that can be protected

`python tools/check_zoo.py --out docs/zoo.md` writes this page. Each model is built from the config that its host ships,
with random weights and the one line `data_preprocessor=dict(type='AlignPurifier')`. Two synthetic images are attacked
with its task's default attack, the purifier is trained on them for one iteration, and the protected model predicts. It
works if every image was changed within the attack's budget, all losses are finite, the generator changed, not a tensor
of the target did, and there is a prediction for each image.

Versions: {versions}.

| model | task | works | why not |
|---|---|---|---|
{rows}

{summary}
"""


def zoo_page(checks: Sequence[Check]) -> str:
    """What ``docs/zoo.md`` says: how it was checked, on which versions, and one row a model, in Markdown."""
    versions = [('Python', platform.python_version()), *((name, metadata.version(name)) for name in STACK)]
    rows = [
        f'| {check.name} | {check.task} | {"yes" if check.works else "no"} | {check.problem.replace("|", "&#124;")} |'
        for check in checks
    ]
    return PAGE.format(
        versions=', '.join(' '.join(version) for version in versions), rows='\n'.join(rows), summary=zoo_summary(checks)
    )


def zoo_summary(checks: Sequence[Check]) -> str:
    """How many models work."""
    return f'{sum(check.works for check in checks)} of {len(checks)} work'
