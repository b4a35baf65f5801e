"""Scenes of real handwritten digits on textured backgrounds, written in Pascal VOC's layout."""

from __future__ import annotations

import os
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .digits import HandwrittenDigits

# Incremented whenever the images change, so that old files are replaced.
VERSION = 1
CLASSES = tuple(str(digit) for digit in range(10))
IMAGE_SIZE = 128
_DIGIT_SIZES = (32, 56)
_DIGITS_PER_SCENE = (2, 4)
# Ink that is darker than this is part of the digit, in boxes and masks alike.
_INK = 0.35


@dataclass(frozen=True)
class Scene:
    """One image and its ground truth.

    Attributes:
        image: ``(128, 128, 3)`` uint8, BGR.
        mask: ``(128, 128)`` uint8; 0 is background, k + 1 the digit k.
        boxes: ``(M, 4)`` integer pixels, x1, y1, x2, y2, both ends inclusive.
        labels: ``(M,)`` digits.
    """

    image: np.ndarray
    mask: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def compose_scenes(split: str, number: int, seed: int = 0) -> Iterator[Scene]:
    """Scenes of digits from one split of :class:`HandwrittenDigits`; the same seed gives the same scenes.

    Args:
        split: ``'train'`` or ``'test'``; no digit is in both.
        number: how many scenes.
        seed: of the composition. Each scene has its own random stream, so a longer list begins with the shorter one.
    """
    digits = HandwrittenDigits(split)
    images = [digits.get_data_info(index)['img'][..., 0] / np.float32(255) for index in range(len(digits))]
    labels = [digits.get_data_info(index)['gt_label'] for index in range(len(digits))]
    for index in range(number):
        yield _compose(images, labels, np.random.RandomState([seed, index, split == 'test']))


def _compose(images: list[np.ndarray], labels: list[int], rng: np.random.RandomState) -> Scene:
    canvas = _texture(rng)
    mask = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    occupied = np.zeros((IMAGE_SIZE, IMAGE_SIZE), bool)
    boxes: list[list[int]] = []
    chosen: list[int] = []
    wanted = rng.randint(_DIGITS_PER_SCENE[0], _DIGITS_PER_SCENE[1] + 1)
    # If a place is taken, another is drawn, but not forever: large digits may leave no room.
    for _ in range(20 * wanted):
        if len(chosen) == wanted:
            break
        index, size = rng.randint(len(images)), rng.randint(*_DIGIT_SIZES)
        left, top = rng.randint(0, IMAGE_SIZE - size, size=2)
        place = np.s_[top : top + size, left : left + size]
        if occupied[place].any():
            continue
        ink = np.clip(cv2.resize(images[index], (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)
        occupied[place] = True
        canvas[place] += ink[..., None] * (_ink_color(canvas[place], rng) - canvas[place])
        shape = ink > _INK
        mask[place][shape] = labels[index] + 1
        rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
        boxes.append([left + columns[0], top + rows[0], left + columns[-1], top + rows[-1]])
        chosen.append(labels[index])
    image = np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)
    return Scene(image, mask, np.array(boxes), np.array(chosen))


def _texture(rng: np.random.RandomState) -> np.ndarray:
    """Colored noise at three scales around a dull color, ``(128, 128, 3)`` float in 0-255."""
    noise = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    for cells, strength in ((4, 30), (16, 15), (64, 8)):
        coarse = rng.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        noise += cv2.resize(coarse, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(rng.uniform(70, 185, 3) + noise, 0, 255)


def _ink_color(background: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """A color on the other side of gray, so that the digit stands out."""
    dark = background.mean() > 127.5
    return rng.uniform(0, 45, 3) if dark else rng.uniform(210, 255, 3)


def write_digit_scenes(root: Path | str, num_train: int = 600, num_test: int = 100) -> Path:
    """Write ``root/VOC2012``, unless it exists, for the VOC data sets of MMDetection and MMSegmentation.

    Args:
        root: a folder for these files only; it appears complete or not at all.
        num_train: number of scenes in ``trainval`` (boxes) and ``train`` (masks).
        num_test: number of scenes in ``test`` and ``val``.

    Returns:
        ``root``.
    """
    root = Path(root)
    stamp = f'{VERSION} {num_train} {num_test}\n'
    if (root / 'complete.txt').exists() and (root / 'complete.txt').read_text() == stamp:
        return root
    partial = root.with_name(root.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    voc = partial / 'VOC2012'
    for folder in ('JPEGImages', 'Annotations', 'SegmentationClass', 'ImageSets/Main', 'ImageSets/Segmentation'):
        (voc / folder).mkdir(parents=True)
    for split, number, detection, segmentation in (
        ('train', num_train, 'trainval', 'train'),
        ('test', num_test, 'test', 'val'),
    ):
        names = [f'{split}_{index:04d}' for index in range(number)]
        for name, scene in zip(names, compose_scenes(split, number)):
            cv2.imwrite(str(voc / 'JPEGImages' / f'{name}.jpg'), scene.image, [cv2.IMWRITE_JPEG_QUALITY, 95])
            cv2.imwrite(str(voc / 'SegmentationClass' / f'{name}.png'), scene.mask)
            ElementTree.ElementTree(_annotation(name, scene)).write(voc / 'Annotations' / f'{name}.xml')
        listing = '\n'.join(names) + '\n'
        (voc / 'ImageSets' / 'Main' / f'{detection}.txt').write_text(listing)
        (voc / 'ImageSets' / 'Segmentation' / f'{segmentation}.txt').write_text(listing)
    (partial / 'complete.txt').write_text(stamp)
    shutil.rmtree(root, ignore_errors=True)
    os.replace(partial, root)
    return root


def _annotation(name: str, scene: Scene) -> ElementTree.Element:
    annotation = ElementTree.Element('annotation')
    ElementTree.SubElement(annotation, 'filename').text = f'{name}.jpg'
    size = ElementTree.SubElement(annotation, 'size')
    for tag, value in zip(('width', 'height', 'depth'), (IMAGE_SIZE, IMAGE_SIZE, 3)):
        ElementTree.SubElement(size, tag).text = str(value)
    for box, label in zip(scene.boxes, scene.labels):
        item = ElementTree.SubElement(annotation, 'object')
        ElementTree.SubElement(item, 'name').text = CLASSES[label]
        ElementTree.SubElement(item, 'difficult').text = '0'
        corners = ElementTree.SubElement(item, 'bndbox')
        # VOC counts pixels from 1.
        for tag, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box):
            ElementTree.SubElement(corners, tag).text = str(int(value) + 1)
    return annotation
