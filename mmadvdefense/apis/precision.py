"""Exported generators of reduced precision: float16, and int8 as ONNX Runtime quantizes them."""

from __future__ import annotations

import os
import tempfile
from itertools import cycle, islice
from pathlib import Path
from typing import Optional, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import resize
from .deployment import FORMATS, export_module, require_for_onnx

# By name, how far a generator may be from that in float32: mean difference of its images in pixels (0-255).
PRECISIONS = {'fp32': 0.0, 'fp16': 0.25, 'int8': 2.0}
# What has weights, and what lies between two of these. The arithmetic between pixels and network stays float32, and
# with it the image that a residual network adds its result to.
_QUANTIZED = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'Concat', 'Resize', 'Relu', 'MaxPool')


def check_precision(precision: str, kind: str, with_model: bool = False) -> None:
    """Check that a file of this precision can be written, before any work is done.

    Args:
        precision: one of :data:`PRECISIONS`.
        kind: of the file, one of :data:`~mmadvdefense.apis.deployment.FORMATS`, or ``'pth'`` for this package.
        with_model: whether the model is in the same file.

    Raises:
        UsageError: if it cannot; the message says what can.
        mmadvdefense.errors.DependencyError: if int8 needs a library that is missing.
    """
    if precision not in PRECISIONS:
        raise UsageError(f'unknown precision {precision!r}; known: {", ".join(PRECISIONS)}')
    if precision != 'fp32' and kind not in FORMATS:
        raise UsageError(f'a file for this package is float32: {precision} is for --format {", ".join(FORMATS)}')
    if precision != 'int8':
        return
    if kind != 'onnx':
        raise UsageError(f'int8 is quantized by ONNX Runtime, for --format onnx; {kind} can be fp16')
    if with_model:
        raise UsageError('int8 is for the generator alone: leave out --with-model, and run it in front of the model')
    require_for_onnx('onnx', 'onnxscript', 'onnxruntime')


def export_int8(
    module: nn.Module,
    path: Path,
    images: Sequence[Tensor],
    size: Optional[Sequence[int]] = None,
    batch_size: Optional[int] = None,
) -> None:
    """Write a generator as an ONNX file with 8-bit convolutions; the file is replaced only when it is complete.

    ONNX Runtime's static quantization: the range of each activation is the one it has on ``images``. Activations are
    8-bit, weights 7-bit with one scale for each channel, since CPUs without VNNI saturate in sums of 8-bit products.
    Images stay float32, and so does what leads from them to the network and back.

    Args:
        module: in eval mode, on the CPU: a :class:`~mmadvdefense.apis.deployment.PixelGenerator`.
        path: of the file.
        images: ``(3, H, W)`` each, in 0-255, such as those of the training data; they may differ in size.
        size: see :func:`~mmadvdefense.apis.deployment.export_module`, as for ``batch_size``; images are resized to it.

    Raises:
        UsageError: without images, or for a module that PyTorch cannot export.
        mmadvdefense.errors.DependencyError: if a library is missing.
    """
    require_for_onnx('onnx', 'onnxscript', 'onnxruntime')
    if not len(images):
        raise UsageError('int8 needs images, from which the ranges of activations are taken')
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f'.{path.name}.') as folder:
        full, prepared, quantized = (Path(folder) / f'{name}.onnx' for name in ('full', 'prepared', 'quantized'))
        export_module(module, full, 'onnx', size, batch_size)
        # Folds normalization into convolutions. Sizes that are free cannot be inferred, and need not be.
        quant_pre_process(full, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            _Reader(images, size, batch_size or 1),
            op_types_to_quantize=list(_QUANTIZED),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        os.replace(quantized, path)


def of_shapes(images: Sequence[Tensor], shapes: Sequence[Sequence[int]]) -> list[Tensor]:
    """Batches of these shapes ``(N, H, W)``, filled with the images in turn, each resized.

    Args:
        images: ``(3, H, W)`` each, in 0-255, at least one; after the last comes the first again.

    Returns:
        One ``(N, 3, H, W)`` for each shape.
    """
    turns = cycle(images)
    return [_batch(list(islice(turns, number)), size) for number, *size in shapes]


def _batch(images: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    return torch.cat([resize(image[None].float(), size) for image in images])


class _Reader:
    """Hands ONNX Runtime one image after another, each as often as the file's batches are large."""

    def __init__(self, images: Sequence[Tensor], size: Optional[Sequence[int]], number: int) -> None:
        self._batches = (_batch([image] * number, size or image.shape[-2:]) for image in images)

    def get_next(self) -> Optional[dict[str, np.ndarray]]:
        batch = next(self._batches, None)
        return None if batch is None else {'images': batch.numpy()}
