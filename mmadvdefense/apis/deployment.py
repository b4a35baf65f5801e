"""Purifiers, alone or with the model behind them, as ONNX, TorchScript and ``torch.export`` files."""

from __future__ import annotations

import copy
import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import DependencyError, UsageError
from ..models import preprocessor_of, unwrap
from ..pixels import to_pixels, to_unit_range
from ..purifiers import GeneratorPurifier, Purifier
from ..tasks import task_of

# By the name of a format, the ending of its files.
FORMATS = {'onnx': '.onnx', 'torchscript': '.pt', 'pt2': '.pt2'}
_DEPLOY = "pip install -e '.[deploy]'"
# Of images that are exported with free height and width: a batch of one would be taken for a constant.
_EXAMPLE = (2, 3, 64, 96)


class HalfGenerator(nn.Module):
    """A copy of a network with weights and activations in float16, between images of the type that it is given.

    Args:
        network: from images to images; it is left as it is.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(N, 3, H, W)`` in [-1, 1], of images of the same form."""
        return self.network(images.half()).to(images.dtype)


class PixelGenerator(nn.Module):
    """A purifier's network with all that is around it, without branches that depend on the size of the images.

    Args:
        purifier: trained.
        half: compute in float16 inside the network, between images that stay float32.

    Raises:
        UsageError: for a purifier that has no network, draws at random, compresses or works in tiles.
        mmadvdefense.errors.StateError: for one that is untrained.
    """

    def __init__(self, purifier: nn.Module, half: bool = False):
        super().__init__()
        name = type(purifier).__name__
        if not isinstance(purifier, GeneratorPurifier):
            raise UsageError(f'{name} has no generator to export')
        if purifier.stochastic:
            raise UsageError(f'{name} draws anew for each image, which a file cannot: export it with --format pth')
        if purifier.tiles is not None or purifier.jpeg_quality is not None:
            raise UsageError(
                f'{name} with tile_size or jpeg_quality is more than a network: export it with --format pth'
            )
        purifier.check_ready()
        self.generator = HalfGenerator(purifier.generator) if half else purifier.generator
        self.working_size = purifier.working_size
        self.divisor = int(getattr(purifier.generator, 'divisor', 1))

    def forward(self, images: Tensor) -> Tensor:
        """Purified images ``(N, 3, H, W)`` in 0-255, not rounded, of images of the same form."""
        size = images.shape[-2:]
        inputs = to_unit_range(images)
        if self.working_size is not None:
            inputs = F.interpolate(inputs, self.working_size, mode='bilinear', align_corners=True)
        height, width = inputs.shape[-2:]
        outputs = self.generator(self._padded(inputs, height, width))
        if self.divisor > 1:
            outputs = _rows_and_columns(outputs, torch.arange(height), torch.arange(width))
        if self.working_size is not None:
            outputs = F.interpolate(outputs, size, mode='bilinear', align_corners=True)
        return to_pixels(outputs)

    def _padded(self, images: Tensor, height: int, width: int) -> Tensor:
        """The last row and column repeated until the network's strides divide height and width."""
        if self.divisor == 1:
            return images
        rows, columns = (torch.arange(side + -side % self.divisor).clamp(max=side - 1) for side in (height, width))
        return _rows_and_columns(images, rows, columns)


def _rows_and_columns(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Selects them: exporters hold padding and slicing for something else where they change nothing."""
    return images.index_select(2, rows.to(images.device)).index_select(3, columns.to(images.device))


class ProtectedScores(nn.Module):
    """Class scores of a classifier or segmentor behind its purifier.

    Args:
        model: of MMPretrain or MMSegmentation, with a purifier that :class:`PixelGenerator` takes.
        half: of :class:`PixelGenerator`; the model stays float32.

    Raises:
        UsageError: for a model without class scores, such as a detector.
    """

    def __init__(self, model: nn.Module, half: bool = False):
        super().__init__()
        target = unwrap(model)
        self.task = task_of(target)
        self.task.require_class_scores('an export of purifier and model', 'export the generator alone')
        preprocessor = preprocessor_of(target)
        assert isinstance(preprocessor, Purifier), 'or there would be nothing to export'
        self.purifier = PixelGenerator(preprocessor, half)
        self.native = preprocessor.native
        self.model = target

    def forward(self, images: Tensor) -> Tensor:
        """``(N, K)``, or ``(N, K, h, w)`` for segmentors, of images ``(N, 3, H, W)`` in 0-255 as the pipeline loads."""
        return self.task.logits(self.task.preprocess(self.native, self.purifier(images)))


def export_module(
    module: nn.Module,
    path: Path,
    kind: str,
    size: Optional[Sequence[int]] = None,
    batch_size: Optional[int] = None,
) -> None:
    """Write a module that maps images to a tensor; the file is replaced only when it is complete.

    Args:
        module: in eval mode, on the CPU.
        path: of the file.
        kind: one of :data:`FORMATS`.
        size: ``(H, W)`` that all images will have; None for any size.
        batch_size: number of images that all batches will have; None for any number.

    Raises:
        UsageError: for an unknown format, or a module that PyTorch cannot export.
        mmadvdefense.errors.DependencyError: if a library is missing.
    """
    if kind not in FORMATS:
        raise UsageError(f'unknown format {kind!r}; known: {", ".join(FORMATS)}')
    require_for_onnx('onnx', 'onnxscript') if kind == 'onnx' else None
    example = torch.rand(batch_size or _EXAMPLE[0], 3, *(size or _EXAMPLE[2:])) * 255
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.tmp{FORMATS[kind]}')
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # What they warn of is where a trace or an exporter takes a constant, which the comparison afterwards tests.
            warnings.simplefilter('ignore')
            _WRITERS[kind](module.eval(), example, temporary, _free_axes(size, batch_size))
        os.replace(temporary, path)
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        remedy = 'give a fixed --size H W' if size is None else 'export the generator alone, or another format'
        raise UsageError(f'PyTorch cannot export this as {kind}: {_reason(error)}; {remedy}') from error
    finally:
        temporary.unlink(missing_ok=True)


def load_exported(path: Path, kind: str) -> Callable[[Tensor], Tensor]:
    """What runs a file of :func:`export_module` on the CPU; ONNX Runtime does so for ``'onnx'``.

    Raises:
        mmadvdefense.errors.DependencyError: if ONNX Runtime is missing.
    """
    if kind == 'torchscript':
        return torch.jit.load(str(path))
    if kind == 'pt2':
        return torch.export.load(str(path)).module()
    require_for_onnx('onnxruntime')
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda images: torch.from_numpy(session.run(None, {'images': images.numpy()})[0])


def _reason(error: BaseException) -> str:
    """The first line of what an exporter's long message goes back to."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition('\n')[0]


def require_for_onnx(*names: str) -> None:
    """Raise a ``DependencyError`` with the command that installs them, unless all these packages are there."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise DependencyError(f'ONNX needs {" and ".join(missing)}, found none: {_DEPLOY}')


def _free_axes(size: Optional[Sequence[int]], batch_size: Optional[int]) -> dict[int, str]:
    return {**({} if batch_size else {0: 'batch'}), **({} if size else {2: 'height', 3: 'width'})}


def _write_onnx(module: nn.Module, example: Tensor, path: Path, axes: dict[int, str]) -> None:
    torch.onnx.export(
        module,
        (example,),
        path,
        input_names=['images'],
        output_names=['outputs'],
        dynamic_shapes=(_dims(axes),),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _write_torchscript(module: nn.Module, example: Tensor, path: Path, axes: dict[int, str]) -> None:
    torch.jit.save(torch.jit.trace(module, example, check_trace=False), str(path))


def _write_pt2(module: nn.Module, example: Tensor, path: Path, axes: dict[int, str]) -> None:
    torch.export.save(torch.export.export(module, (example,), dynamic_shapes=(_dims(axes),)), str(path))


def _dims(axes: dict[int, str]) -> dict[int, Any]:
    return {axis: torch.export.Dim.DYNAMIC if axis else torch.export.Dim(name) for axis, name in axes.items()}


_WRITERS: dict[str, Callable[[nn.Module, Tensor, Path, dict[int, str]], None]] = {
    'onnx': _write_onnx,
    'torchscript': _write_torchscript,
    'pt2': _write_pt2,
}
