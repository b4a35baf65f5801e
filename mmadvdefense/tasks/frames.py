"""Which frame a pipeline leaves annotations in, and how to get from the frame of the file to that of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from ..errors import UsageError
from ..pipelines import Step, pipeline_steps

# Words in the names of transforms that change where a pixel lies.
_GEOMETRIC = (
    'Resize Letter Crop Affine Expand Flip Rotate Shift Translate Shear Perspective Warp Mosaic MixUp CutMix CopyPaste'
).split()
# The meta that tells where a transform moves pixels to. MMDetection's geometric transforms note a matrix.
_TOLD_BY: dict[str, tuple[str, ...]] = {
    'RandomCenterCropPad': ('border',),
    'LetterResize': ('scale_factor', 'pad_param'),
    'RandomFlip': ('flip', 'flip_direction'),
    **dict.fromkeys(
        'Resize ResizeShortestEdge RandomResize RandomChoiceResize YOLOv5KeepRatioResize'.split(), ('scale_factor',)
    ),
    **dict.fromkeys('Rotate TranslateX TranslateY ShearX ShearY'.split(), ('homography_matrix',)),
}
# They put the image into a larger one, so that it matters whether it is flipped before or afterwards.
_PLACING = {'Pad', 'LetterResize', 'RandomCenterCropPad', 'FixShapeResize'}


# --- pipelines ----------------------------------------------------------------------------------------------------


def annotations_in_input_frame(dataset) -> bool:
    """Whether a data set's pipeline moves the annotations together with the image.

    Test pipelines of MMDetection and MMSegmentation load them after ``Resize``, so that they stay in the frame of the
    file while the input is resized; training pipelines load them before.
    """
    return not _moves(pipeline_steps(dataset))[0]


def check_frame(dataset) -> None:
    """Raise a ``ValueError`` that says why and what to do, if annotations cannot be moved to where the image is.

    That is the case where only some of the transforms that move the image move its annotations, too, and where the meta
    of samples does not tell how the image was moved.
    """
    steps = pipeline_steps(dataset)
    alone, together = _moves(steps)
    if alone and together:
        raise UsageError(
            f'the pipeline moves the image by {alone[0].name} without its annotations and by {together[0].name} with '
            'them, so that they fit neither the file nor the input: load annotations before or after both'
        )
    packed = next((step.settings['meta_keys'] for step in reversed(steps) if step.settings.get('meta_keys')), None)
    missing = [key for key in _wanted_meta(alone, steps) if packed is not None and key not in packed]
    if missing:
        raise UsageError(
            f'the pipeline moves the image by {", ".join(step.name for step in alone)} before it loads annotations, so '
            f'that an attack must move them to where the image is: add {", ".join(map(repr, missing))} to meta_keys '
            'of the transform that packs samples'
        )


def _wanted_meta(moves: Sequence[Step], steps: Sequence[Step]) -> list[str]:
    """What tells where an image was moved to; a ``ValueError`` for a transform that does not tell."""
    wanted: list[str] = []
    for step in moves:
        told_by = next((_TOLD_BY[kind] for kind in step.kinds if kind in _TOLD_BY), None)
        if told_by is None or ('RandomCenterCropPad' in step.kinds and not step.settings.get('test_mode')):
            raise UsageError(
                f'{step.name} moves the image before annotations are loaded and does not tell where to, so that an '
                'attack would look for them in the wrong place: load annotations before it, or leave it out of tests'
            )
        wanted += told_by
    flipped = any('RandomFlip' in step.kinds for step in moves)
    placed = any(_PLACING & set(step.kinds) for step in steps)
    if (flipped and placed) or wanted.count('scale_factor') > 1:
        wanted.append('homography_matrix')
    return list(dict.fromkeys(wanted))


def _moves(steps: Sequence[Step]) -> tuple[list[Step], list[Step]]:
    """The transforms that move the image but not its annotations, and those that move both; none if none are loaded."""
    loads = [index for index, step in enumerate(steps) if 'Load' in step.name and 'Annotations' in step.name]
    alone: list[Step] = []
    together: list[Step] = []
    for index, step in enumerate(steps if loads else ()):
        # Flips that never happen are in many stock pipelines.
        if any(word in step.name for word in _GEOMETRIC) and step.settings.get('prob') != 0:
            image_only = 'RandomCenterCropPad' in step.kinds and step.settings.get('test_mode')
            (alone if index < loads[-1] or image_only else together).append(step)
    return alone, together


# --- one image ----------------------------------------------------------------------------------------------------


def input_matrix(sample: Any, size: Sequence[int]) -> np.ndarray:
    """Where the pixels of a file are in the input, ``(3, 3)``: from ``(x, y, 1)`` in the file to ``(x', y', 1)``.

    Coordinates count from the corner of the image. It is computed from the meta ``scale_factor``, ``flip`` and
    ``flip_direction``, or ``homography_matrix`` instead of these, and from where the image was put in a larger one
    (:func:`placement`).

    Args:
        sample: a data sample with the meta.
        size: height and width of the image in the file.

    Raises:
        ValueError: if the meta does not tell where the image is, or the image does not fit into the input; the message
            names the file.
    """
    canvas = np.array(sample.img_shape[1::-1], dtype=float)
    inner, at = np.array(size[::-1], dtype=float), placement(sample)
    matrix = sample.get('homography_matrix')
    if matrix is None:
        scale = np.array(sample.get('scale_factor', (1.0, 1.0))[:2], dtype=float)
        flipped = _flips(sample)
        if (flipped & (np.abs(scale * inner - canvas) >= 1)).any():
            raise _unknown(
                sample, "is flipped and padded, in an order that 'homography_matrix' in meta_keys would tell"
            )
        matrix = _affine(np.where(flipped, -scale, scale), np.where(flipped, canvas, 0))
    matrix = np.asarray(matrix, dtype=float)
    if at is not None:
        matrix = _placed(sample, matrix, at, inner, canvas)
    size_there = np.abs(np.diag(matrix)[:2]) * inner
    if is_axis_aligned(matrix) and (size_there > canvas + 1).any():
        raise _unknown(
            sample,
            f'would have {size_there[1]:g} x {size_there[0]:g} pixels in an input of {canvas[1]:g} x {canvas[0]:g}: it '
            'was cropped, which its meta does not tell',
        )
    return matrix


def placement(sample: Any) -> Optional[np.ndarray]:
    """Where an image was put in a larger one, x and y; None if it was not, or was only padded on the right and below.

    This is the meta ``border`` of ``RandomCenterCropPad`` or ``pad_param`` of letterboxes; both begin with the top and
    have the left in third place.
    """
    for name in ('border', 'pad_param'):
        if sample.get(name) is not None:
            return np.array([sample.get(name)[2], sample.get(name)[0]], dtype=float)
    return None


def is_axis_aligned(matrix: np.ndarray) -> bool:
    """Whether a matrix scales, flips and shifts and does nothing else."""
    return bool(np.array_equal(matrix[:2, :2], np.diag(np.diag(matrix)[:2])) and not matrix[2, :2].any())


def _placed(sample: Any, matrix: np.ndarray, at: np.ndarray, inner: np.ndarray, canvas: np.ndarray) -> np.ndarray:
    """``matrix`` combined with the shift of an image that was put at ``at``, in the order of application."""
    if not is_axis_aligned(matrix):
        raise _unknown(sample, 'is rotated or sheared and put in a larger image, which an attack cannot follow')
    scale, flipped = np.abs(np.diag(matrix)[:2]), np.diag(matrix)[:2] < 0
    border = sample.get('border')
    if border is not None and abs(border[3] - border[2] - inner[0]) < 1 <= abs(
        border[3] - border[2] - inner[0] * scale[0]
    ):
        # As wide as in the file: it was resized afterwards.
        at = at * scale
    # The matrix holds the width of what was flipped: the whole input, or the image before it was put there.
    whole = np.abs(matrix[:2, 2] - canvas) < 1
    shift = np.where(flipped, np.where(whole, canvas - at, scale * inner + at), matrix[:2, 2] + at)
    return _affine(np.where(flipped, -scale, scale), shift)


def _flips(sample: Any) -> np.ndarray:
    direction = sample.get('flip_direction') if sample.get('flip') else None
    return np.array([direction in ('horizontal', 'diagonal'), direction in ('vertical', 'diagonal')])


def _affine(scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]], [0, 0, 1]])


def _unknown(sample: Any, what: str) -> ValueError:
    name = sample.get('img_path') or 'an image of the batch'
    return ValueError(f'{name} {what}; its annotations cannot be moved to where it is')
