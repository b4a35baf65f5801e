"""Example images as a picture: what an attack and a purifier do to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping, Optional, Sequence, Union

import numpy as np
from torch import Tensor

from ...checkpoints import save_file_atomically
from ...errors import UsageError
from ...pixels import PIXEL_MAX
from .examples import STATES, Examples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CORRECT, WRONG, NEUTRAL = '#1a7f37', '#c62828', '#333333'
WIDTH = 10.0  # inches
TITLES = 0.145  # the part of the width that the row titles take


@dataclass
class Caption:
    """A prediction as the picture shows it: green if it is correct, red if it is wrong, grey if that is unknown."""

    text: str
    correct: Optional[bool] = None


def class_captions(predictions: Sequence, classes: Optional[Sequence[str]] = None) -> list[Caption]:
    """The predicted class of each image, for MMPretrain's data samples.

    Args:
        predictions: data samples with ``pred_label`` and ``gt_label``.
        classes: their names; the numbers by default.
    """
    pairs = [(int(sample.pred_label), int(sample.gt_label)) for sample in predictions]
    return [Caption(classes[label] if classes else str(label), label == truth) for label, truth in pairs]


# What is drawn on images --------------------------------------------------------------------------------------------


def class_boxes(
    predictions: dict[str, Sequence], classes: Sequence[str], min_score: float = 0.3
) -> Callable[[Axes, str, int], None]:
    """A function that draws the predicted boxes of MMDetection's data samples, for ``decorate``.

    Args:
        predictions: of :class:`Examples`; boxes in the frame of the image.
        classes: their names.
        min_score: boxes with a lower confidence are left out.
    """
    colours = _colours(len(classes))

    def decorate(axes: Axes, state: str, column: int) -> None:
        from matplotlib.patches import Rectangle

        found = predictions[state][column].pred_instances
        found = found[found.scores >= min_score]
        for (left, top, right, bottom), label in zip(found.bboxes.tolist(), found.labels.tolist()):
            colour = colours[label]
            axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color=colour, linewidth=1.5))
            axes.text(left, top, classes[label], color='white', fontsize=8, va='bottom', clip_on=True,
                      bbox=dict(facecolor=colour, edgecolor='none', pad=0.8))  # fmt: skip

    return decorate


def class_masks(
    predictions: dict[str, Sequence], num_classes: int, opacity: float = 0.65
) -> Callable[[Axes, str, int], None]:
    """A function that draws the predicted masks of MMSegmentation's data samples, for ``decorate``.

    Class 0 is taken for the background and left out.


    Args:
        predictions: of :class:`Examples`.
        num_classes: with the background.
        opacity: of the masks, 0-1.
    """
    colours = np.array([(0, 0, 0, 0), *((*colour[:3], opacity) for colour in _colours(num_classes - 1))])

    def decorate(axes: Axes, state: str, column: int) -> None:
        mask = predictions[state][column].pred_sem_seg.data.squeeze(0).cpu().numpy()
        axes.imshow(colours[mask], interpolation='nearest')

    return decorate


def _colours(count: int) -> list[tuple]:
    from matplotlib import colormaps

    return [colormaps['tab10' if count <= 10 else 'tab20'](index % 20) for index in range(count)]


# Drawing ------------------------------------------------------------------------------------------------------------


def robustness_picture(
    path: Union[str, Path],
    examples: Examples,
    captions: Mapping[str, Sequence[Caption]],
    titles: Optional[Sequence[str]] = None,
    channel_order: str = 'rgb',
    gain: float = 10,
    decorate: Optional[Callable[[Axes, str, int], None]] = None,
) -> None:
    """Save a picture, 1000 pixels wide, with a column for each image.

    Its rows are clean, adversarial, the difference of the two, purified, and its difference from clean.

    Args:
        path: the file, replaced only when it is complete; its ending is the format (``.png``, ``.jpg``, ``.pdf``...).
        examples: of :func:`mmadvdefense.evaluation.collect_examples`.
        captions: for each of ``clean``, ``adversarial`` and ``purified`` the predictions, shown under the images.
        titles: of the columns, usually the ground truth.
        channel_order: of the images, ``'rgb'`` or ``'bgr'``.
        gain: factor by which differences are multiplied; they are shown around mid-grey.
        decorate: draws predictions on an image, given its axes, state and column: :func:`class_boxes` and
            :func:`class_masks` make one.

    Raises:
        UsageError: if there is no image, the channel order is unknown, or images and captions differ in number.
    """
    figure = draw_picture(examples, captions, titles, channel_order, gain, decorate)
    suffix = Path(path).suffix.lstrip('.')
    save_file_atomically(path, lambda file: figure.savefig(file, format=suffix or 'png', dpi=100))


def draw_picture(
    examples: Examples,
    captions: Mapping[str, Sequence[Caption]],
    titles: Optional[Sequence[str]] = None,
    channel_order: str = 'rgb',
    gain: float = 10,
    decorate: Optional[Callable[[Axes, str, int], None]] = None,
) -> Figure:
    """The figure of :func:`robustness_picture`."""
    # Not pyplot: it keeps a global list of figures and may look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(examples.clean)
    if not count:
        raise UsageError('there is no image to show')
    if channel_order not in ('rgb', 'bgr'):
        raise UsageError(f"channel_order must be 'rgb' or 'bgr', got {channel_order!r}")
    for state, row in captions.items():
        if len(row) != count:
            raise UsageError(f'{count} images need as many captions, but {state!r} has {len(row)}')

    rows = [
        ('clean', examples.clean, captions.get('clean')),
        ('adversarial', examples.adversarial, captions.get('adversarial')),
        (f'adversarial −\nclean × {gain:g}', _differences(examples.adversarial, examples.clean, gain), None),
        ('purified', examples.purified, captions.get('purified')),
        (f'purified −\nclean × {gain:g}', _differences(examples.purified, examples.clean, gain), None),
    ]
    tallest = max(image.shape[-2] / image.shape[-1] for image in examples.clean)
    cell = WIDTH * (1 - TITLES) / count
    # In inches: an image, a gap, and for some rows the line of captions under it.
    heights = [cell * tallest * 0.94 + (0.24 if row[2] else 0.06) for row in rows]
    top = 0.3 if titles else 0.06
    total = top + sum(heights) + 0.04
    figure = Figure(figsize=(WIDTH, total), facecolor='white')
    FigureCanvasAgg(figure)
    y = total - top
    for (title, images, row_captions), height in zip(rows, heights):
        extent = cell * tallest * 0.94
        middle = (y - extent / 2) / total
        figure.text(TITLES - 0.012, middle, title, ha='right', va='center', fontsize=11, linespacing=1.3)
        for column, image in enumerate(images):
            left = TITLES + column * cell / WIDTH
            axes = figure.add_axes((left, (y - extent) / total, cell * 0.94 / WIDTH, extent / total))
            _show(axes, image, channel_order)
            if decorate and title in STATES:
                decorate(axes, title, column)
            if row_captions:
                _write(axes, row_captions[column])
            if titles and images is examples.clean:
                axes.set_title(titles[column], fontsize=11, color=NEUTRAL, pad=4)
        y -= height
    return figure


def _differences(images: Sequence[Tensor], reference: Sequence[Tensor], gain: float) -> list[Tensor]:
    """Mid-grey where nothing changed."""
    return [((image - other) * gain + PIXEL_MAX / 2) for image, other in zip(images, reference)]


def _show(axes: Axes, image: Tensor, channel_order: str) -> None:
    array = image.detach().cpu().clamp(0, PIXEL_MAX).round().byte().permute(1, 2, 0).numpy()
    axes.imshow(np.ascontiguousarray(array[..., ::-1]) if channel_order == 'bgr' else array, interpolation='nearest')
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color='#bbbbbb', linewidth=0.6)


def _write(axes: Axes, caption: Caption) -> None:
    color = NEUTRAL if caption.correct is None else CORRECT if caption.correct else WRONG
    weight = 'normal' if caption.correct is None else 'bold'
    axes.set_xlabel(caption.text, fontsize=11, color=color, fontweight=weight, labelpad=2)


__all__ = [
    'Caption',
    'class_boxes',
    'class_captions',
    'class_masks',
    'draw_picture',
    'robustness_picture',
]
