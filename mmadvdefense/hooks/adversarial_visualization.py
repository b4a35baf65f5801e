"""Clean, adversarial and purified images with predictions, drawn by the host's own visualizer."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import VISUALIZERS
from torch import Tensor, nn

from ..attacks import AttackSource, Randomness, derive_seed
from ..hosts import host_of_class
from ..models import preprocessor_of, unwrap
from ..pixels import PIXEL_MAX, Pixels
from ..purifiers import Purifier, switched
from ..registry import HOOKS
from ..validation import check_integer
from .attacking import attacking_hook, clean_pixels, set_aside

# Shortest side of a picture of a classifier, whose text would not be legible on a small image.
_SHORTEST = 224
_serial = itertools.count()


class PredictionDrawer:
    """Draws pictures side by side: an image in several states with the predictions of a model, and differences.

    Args:
        model: of any host.
        channel_order: of the images, ``'rgb'`` or ``'bgr'``; None counts as RGB.
        dataset_meta: ``classes`` and, for some hosts, ``palette``.
        gain: factor by which differences are multiplied; they are shown around mid-grey.
    """

    def __init__(
        self, model: nn.Module, channel_order: Optional[str], dataset_meta: Optional[dict] = None, gain: float = 10
    ):
        host = host_of_class(type(model))
        assert host is not None, 'attacks have refused it before'
        # Without a backend, so that only the joined picture is saved.
        self._visualizer: Any = VISUALIZERS.build(dict(type=host.visualizer, name=f'adversarial-{next(_serial)}'))
        self._visualizer.dataset_meta = dict(dataset_meta or {})
        self._bgr = channel_order == 'bgr'
        self.gain = gain

    def __call__(self, images: Sequence[Tensor], predictions: Sequence[Any], reference: Tensor) -> np.ndarray:
        """The picture: images with their predictions, then what the last but the first few changed.

        Args:
            images: ``(3, H, W)``, pixels 0-255, such as a clean, an adversarial and a purified image.
            predictions: data samples for them, in the frame of the image.
            reference: ``(3, H, W)``, the image that the second is compared with.

        Returns:
            ``(h, w, 3)`` uint8, RGB: all images, then the difference of the second from ``reference``.
        """
        panels = [self._draw(self._array(image), sample) for image, sample in zip(images, predictions)]
        difference = (images[1].cpu() - reference.cpu()) * self.gain + PIXEL_MAX / 2
        height, width = panels[0].shape[:2]
        panels.append(_resized(self._array(difference), width, height))
        return np.concatenate(panels, axis=1)

    def _array(self, image: Tensor) -> np.ndarray:
        array = image.detach().cpu().float().clamp(0, PIXEL_MAX).round().byte().permute(1, 2, 0).numpy()
        return np.ascontiguousarray(array[..., ::-1] if self._bgr else array)

    def _draw(self, image: np.ndarray, sample: Any) -> np.ndarray:
        if hasattr(self._visualizer, 'visualize_cls'):
            resize = _SHORTEST if min(image.shape[:2]) < _SHORTEST else None
            return self._visualizer.visualize_cls(image, sample.cpu(), draw_gt=False, resize=resize)
        self._visualizer.add_datasample('image', image, sample.cpu(), draw_gt=False)
        return self._visualizer.get_image()


def predict_in_input_frame(model: nn.Module, images: Pixels, data_samples: Sequence[Any], purified: bool) -> list:
    """Predictions of a host model in the frame of the images, with or without its purifier.

    Args:
        model: in eval mode.
        images: pixels 0-255.
        data_samples: of the pipeline; not changed.
        purified: whether the purifier, if there is one, is at work.
    """
    samples = copy.deepcopy(list(data_samples))
    for image, sample in zip(images, samples):
        size = tuple(image.shape[-2:])
        # Hosts would move predictions to the file's frame, and turn flipped images back.
        frame = dict(ori_shape=size, img_shape=size, pad_shape=size, scale_factor=(1.0, 1.0), flip=False)
        sample.set_metainfo(frame)
    with torch.no_grad(), switched(preprocessor_of(model), purified):
        return model.test_step({'inputs': images, 'data_samples': samples})  # type: ignore[operator]


@HOOKS.register_module()
class AdversarialVisualizationHook(Hook):
    """At intervals, shows images of the training batch: clean, adversarial and purified with the model's predictions,
    and the perturbation.

    For a :class:`PurifierTrainHook` or an :class:`AdversarialTrainingHook`, whose training attack makes the adversarial
    images. The pictures go to the backends of the runner's visualizer (``LocalVisBackend``, TensorBoard, WandB), which
    also draw the loss terms as curves. Training is the same with and without this hook.

    Args:
        interval: number of iterations between pictures; each synchronizes with the device.
        num_images: how many images of the batch to show.
        gain: factor by which the perturbation is multiplied.

    Raises:
        UsageError: for a value that is not a positive integer; before training, without a hook that attacks.
    """

    # Takes images and ground truth before the training attack replaces them, and hosts change them.
    priority = 'ABOVE_NORMAL'

    def __init__(self, interval: int = 500, num_images: int = 1, gain: float = 10):
        check_integer(type(self).__name__, interval=interval, num_images=num_images)
        self.interval = interval
        self.num_images = num_images
        self.gain = gain
        self._batch: Optional[tuple[Any, list]] = None
        self._drawer: Optional[PredictionDrawer] = None

    def before_train(self, runner) -> None:
        self._attacking = attacking_hook(runner, type(self).__name__)

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self._batch = set_aside(data_batch, self.num_images)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._batch is None:
            return
        (inputs, samples), self._batch = self._batch, None
        model: Any = unwrap(runner.model)
        clean = clean_pixels(model, inputs)
        randomness = Randomness(derive_seed(runner.seed, 'visualization', runner.iter, get_rank()))
        # Nothing here should draw from the global state; an attack of somebody else's might.
        with torch.random.fork_rng(devices=()), AttackSource(model).undisturbed():
            adversarial = self._attacking.craft(clean, samples, randomness)
            pictures = self._pictures(runner, model, clean, adversarial, samples)
        for sample, picture in zip(samples, pictures):
            name = Path(sample.get('img_path') or str(sample.get('sample_idx', 'image'))).stem
            # LocalVisBackend saves nothing under a name with a folder in it.
            runner.visualizer.add_image(f'adversarial_{name}', picture, runner.iter + 1)

    def _pictures(self, runner, model: Any, clean: Pixels, adversarial: Pixels, samples: list) -> list[np.ndarray]:
        preprocessor = model.data_preprocessor
        states = [(clean, False), (adversarial, False)]
        order = getattr(preprocessor, 'channel_order', None)
        images = [clean, adversarial]
        if isinstance(preprocessor, Purifier):
            with torch.no_grad():
                images.append(preprocessor.clean(adversarial))
            states.append((adversarial, True))
        predictions = [predict_in_input_frame(model, batch, samples, purified) for batch, purified in states]
        if self._drawer is None:
            meta = getattr(runner.train_dataloader.dataset, 'metainfo', None)
            self._drawer = PredictionDrawer(model, order, meta, self.gain)
        drawer = self._drawer
        return [drawer(own, found, own[0]) for own, found in zip(zip(*images), zip(*predictions))]


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    import mmcv

    return mmcv.imresize(image, (width, height), interpolation='nearest')
