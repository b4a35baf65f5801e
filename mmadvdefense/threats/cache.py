"""Adversarial images on disk, found again by what they were made from."""

from __future__ import annotations

import logging
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from ..pixels import PIXEL_MAX
from ..saving import locked, save_file_atomically


class CachedImage(NamedTuple):
    """An adversarial image, with what was recorded when it was made.

    Attributes:
        image: ``(3, H, W)`` in pixels 0-255.
        queries: how often the source was queried for it.
        nonfinite: of :class:`~mmadvdefense.attacks.AttackResult`.
        source_scores: of each source model on the clean image; None if they were not requested.
        rise: of :class:`~mmadvdefense.attacks.AttackResult`; None if it is unknown, as in files of former versions.
    """

    image: Tensor
    queries: int
    nonfinite: int = 0
    source_scores: Optional[tuple[float, ...]] = None
    rise: Optional[float] = None


class AdversarialCache:
    """A folder with one file per image, named by a digest of everything that the image depends on.

    Images of integer pixels take one byte per value, others four; both are restored exactly. Several processes may
    share a folder: a file is there completely or not at all, and :meth:`locked` keeps them from making the same images.

    Args:
        folder: created when it is first written to.
    """

    def __init__(self, folder: Union[str, Path]):
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """Path of the file for this key, whether or not it exists."""
        return self.folder / key[:2] / f'{key[2:]}.npz'

    def locked(self, keys: Sequence[str]) -> AbstractContextManager[None]:
        """Hold the lock of a batch of images, see :func:`mmadvdefense.saving.locked`."""
        return locked(self.folder, *keys)

    def load(self, key: str) -> Optional[CachedImage]:
        """The image with this key; None if it is absent, or its file damaged, which the log reports, and removed."""
        path = self.path(key)
        try:
            with np.load(path) as stored:
                scores = tuple(stored['source_scores'].tolist()) if 'source_scores' in stored else None
                image = torch.from_numpy(stored['image']).float()
                rise = float(stored['rise']) if 'rise' in stored else None
                return CachedImage(image, int(stored['queries']), int(stored['nonfinite']), scores, rise)
        except FileNotFoundError:
            return None
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
            print_log(f'{path} is damaged ({error}); crafting that image again', 'current', logging.WARNING)
            path.unlink(missing_ok=True)
            return None

    def store(self, key: str, made: CachedImage) -> None:
        """Store an image under this key."""
        path = self.path(key)
        array = made.image.detach().cpu().numpy()
        whole = array.astype(np.uint8) if 0 <= array.min() and array.max() <= PIXEL_MAX else array
        noted: dict[str, Any] = dict(queries=made.queries, nonfinite=made.nonfinite)
        if made.source_scores is not None:
            noted['source_scores'] = np.array(made.source_scores)
        if made.rise is not None:
            noted['rise'] = made.rise
        image = whole if np.array_equal(whole, array) else array
        # Without waiting for the disk: a file damaged by a power failure is recognized by its checksum.
        save_file_atomically(path, lambda file: np.savez(file, image=image, **noted), durable=False)
