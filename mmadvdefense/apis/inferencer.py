"""The inference APIs of the hosts with a purifier in front of the model."""

from __future__ import annotations

import copy
import os
from contextlib import contextmanager, nullcontext, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, ContextManager, Iterator, NamedTuple, Optional, Sequence, Union

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from .. import compat
from ..checkpoints import check_state_dict, state_dict_of
from ..errors import UsageError
from ..hosts import HOSTS, Host
from ..models import host_scope, preprocessor_of, read_config
from ..training.preparation import prepare_for_testing
from ..training.purifier_config import override_purifier, purifier_config
from .recording import PurifiedImage, record_purified
from .settings import PurifierChoice, purifier_settings

IMAGES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.webm')
Image = Union[str, os.PathLike, np.ndarray]


class PurifiedResult(NamedTuple):
    """What :class:`PurifiedInferencer` returns with ``return_purified``.

    Attributes:
        result: what the host's inferencer returns.
        purified: what the purifier made of each image, in the order of the inputs.
    """

    result: Any
    purified: list[PurifiedImage]


class PurifiedInferencer:
    """MMPretrain's ``ImageClassificationInferencer``, MMSegmentation's ``MMSegInferencer`` or MMDetection's
    ``DetInferencer``, whichever the config is for, behind a purifier.

    Args:
        config: config file, or a config, which is not changed.
        checkpoint: weights of the model; of the protected model if the config has a purifier that was trained with
            ``tools/train.py``.
        purifier: what to put in front of the model, see :func:`~mmadvdefense.apis.purifier_settings`; None for the
            purifier of the config.
        device: by default the one that the host chooses.
        trust_checkpoint: load a checkpoint that holds more than weights and plain data, which can run any code.
        settings: of the host's inferencer, such as ``classes`` or ``palette``.

    Attributes:
        host: the host's inferencer.
        model: the protected model.

    Raises:
        UsageError: if there is no purifier, or the weights do not fill the model.
        FileNotFoundError: for a missing file.
        mmadvdefense.errors.StateError: for a purifier that is untrained.
        mmadvdefense.compat.CheckpointRefused: for a checkpoint that is not trusted.
    """

    def __init__(
        self,
        config: Union[str, os.PathLike, Config],
        checkpoint: Union[str, os.PathLike],
        purifier: Optional[PurifierChoice] = None,
        device: Optional[str] = None,
        trust_checkpoint: bool = False,
        **settings: Any,
    ):
        name = 'the config' if isinstance(config, Config) else os.fspath(config)
        config = copy.deepcopy(config) if isinstance(config, Config) else read_config(os.fspath(config))
        scope = host_scope(config)
        if scope not in HOSTS:
            raise UsageError(f'{name} is for {scope!r}; there are inference APIs for {", ".join(HOSTS)}')
        compat.require_host(scope)
        if purifier is not None:
            override_purifier(config, purifier_settings(purifier))
        if purifier_config(config) is None:
            raise UsageError(f"{name} has no purifier: give one, such as purifier='zoo://general_resnet20_cifar10'")
        prepare_for_testing(config)
        if config.get('visualizer') is None:
            config.visualizer = dict(type=HOSTS[scope].visualizer)
        path = os.fspath(checkpoint)
        compat.check_checkpoint(path, trust_checkpoint)
        self._host = HOSTS[scope]
        # MMEngine prints what the checkpoint lacks: the purifier, if it has a file of its own.
        with redirect_stdout(StringIO()):
            self.host: Any = build_host_inferencer(config, path, device=device, **settings)
        self.model: nn.Module = self.host.model
        # Whatever else it lacks is an error here.
        check_state_dict(self.model, state_dict_of(CheckpointLoader.load_checkpoint(path, 'cpu'), path), source=path)
        preprocessor_of(self.model).check_ready()

    def __call__(
        self,
        inputs: Union[Image, Sequence[Image]],
        return_purified: bool = False,
        batch_size: int = 1,
        **settings: Any,
    ) -> Any:
        """Purify images and predict.

        Args:
            inputs: an image file, an array ``(H, W, 3)`` uint8 in BGR, a list of these, a folder, whose images are
                taken in the order of their names, or a video file. A progress bar shows how far it is.
            return_purified: also return the purified images and what changed.
            batch_size: images that the model gets at once.
            settings: of the host's inferencer, such as ``return_vis``, ``show_dir`` or ``out_dir``.

        Returns:
            What the host's inferencer returns for these images, a video being a list of them: MMPretrain a list of
            dicts with ``pred_scores`` ``(K,)``, ``pred_label``, ``pred_score`` (0-1) and ``pred_class``; MMSegmentation
            a dict whose ``predictions`` are label maps ``(H, W)`` at the size of the file; MMDetection a dict whose
            ``predictions`` are dicts with ``labels``, ``scores`` (0-1) and ``bboxes`` (x1, y1, x2, y2 in pixels of the
            file). With ``return_purified``, a :class:`PurifiedResult` with this and the purified images.

        Raises:
            UsageError: for a folder without images, or a video that cannot be read.
            FileNotFoundError: for a missing file.
        """
        nothing: ContextManager[list[PurifiedImage]] = nullcontext([])
        with record_purified(self.model) if return_purified else nothing as purified:
            if isinstance(inputs, (str, os.PathLike)) and Path(inputs).suffix.lower() in VIDEOS:
                result = self._run_video(os.fspath(inputs), batch_size, settings)
            else:
                result = self.host(_listed(inputs), batch_size=batch_size, **settings)
        return PurifiedResult(result, purified) if return_purified else result

    def _run_video(self, path: str, batch_size: int, settings: dict[str, Any]) -> Any:
        """Frames are read as they are needed: a video as a whole would not fit into memory."""
        import mmcv

        if 'show_dir' in settings:
            raise UsageError('show_dir numbers the frames of every batch anew, so they would overwrite each other')
        video = mmcv.VideoReader(path)
        if not len(video):
            raise UsageError(f'{path} is no video that OpenCV can read')
        merged: Any = None
        with _own_bar_off(self.host, self._host), _bar() as bar:
            task = bar.add_task(Path(path).name, total=len(video))
            for start in range(0, len(video), batch_size):
                frames = video[start : start + batch_size]
                merged = _joined(merged, self.host(frames, batch_size=batch_size, **settings))
                bar.advance(task, len(frames))
        return merged


def build_host_inferencer(config: Config, checkpoint: Optional[str], **settings: Any) -> Any:
    """The host's own inference API for a config, built in the config's scope.

    MMPretrain's resolves its transforms in whatever scope is the default one at that moment.
    """
    scope = host_scope(config)
    module, _, name = HOSTS[scope].inferencer.rpartition('.')
    with DefaultScope.overwrite_default_scope(scope):
        return getattr(import_module(module), name)(config, checkpoint, **settings)


def _listed(inputs: Union[Image, Sequence[Image]]) -> Any:
    """Paths as strings, which is what the hosts take, and the images of a folder as a list."""
    if not isinstance(inputs, (str, os.PathLike, np.ndarray)):
        return [_listed(image) for image in inputs]
    if isinstance(inputs, np.ndarray) or '://' in os.fspath(inputs):
        return inputs
    path = Path(inputs)
    if not path.exists():
        raise FileNotFoundError(f'there is no image or folder {path}')
    if not path.is_dir():
        return str(path)
    found = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in IMAGES)
    if not found:
        raise UsageError(f'there is no image in {path}; known endings: {", ".join(IMAGES)}')
    return found


def _joined(merged: Any, result: Any) -> Any:
    """The results of two batches as the host returns them for a list; MMSegmentation unpacks lists of one."""
    if isinstance(result, list):
        return [*(merged or ()), *result]
    return {
        name: [*(merged or {}).get(name, ()), *(value if isinstance(value, list) else [value])]
        for name, value in result.items()
    }


def _bar() -> Progress:
    bar = Progress(
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        TextColumn('{task.completed}/{task.total} frames'),
        TimeRemainingColumn(),
    )
    bar.disable = not bar.console.is_terminal
    return bar


@contextmanager
def _own_bar_off(inferencer: Any, host: Host) -> Iterator[None]:
    """The host's own bar would start anew with each batch."""
    switch, name, off = (inferencer, 'show_progress', False)
    if host.progress is not None:
        switch, name, off = import_module(host.progress), 'disable_progress_bar', True
    before = getattr(switch, name)
    setattr(switch, name, off)
    try:
        yield
    finally:
        setattr(switch, name, before)
