"""What noise, blur, weather and compression do to images, with nobody behind it: the corruptions of ImageNet-C."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Callable, NoReturn, Optional, Sequence, Union

import numpy as np
import torch
from torch import Tensor

from ...errors import DependencyError, UsageError
from ...pixels import round_to_8bit, stack
from ...registry import ATTACKS
from ...validation import did_you_mean
from ..base import Attack
from ..batch import AttackBatch
from ..source import AttackSource
from .library import library_seed, seeded_globals

# In the order of the benchmark: noise, blur, weather, digital.
CORRUPTIONS = (
    'gaussian_noise', 'shot_noise', 'impulse_noise',
    'defocus_blur', 'glass_blur', 'motion_blur', 'zoom_blur',
    'snow', 'frost', 'fog', 'brightness',
    'contrast', 'elastic_transform', 'pixelate', 'jpeg_compression',
)  # fmt: skip
_DETERMINISTIC = ('defocus_blur', 'zoom_blur', 'brightness', 'contrast', 'pixelate', 'jpeg_compression')
# These have generators of their own, which ignore the global state.
_TAKES_SEED = ('impulse_noise', 'glass_blur')
_SEVERITIES = 5
_LEAST_SIDE = 32


@ATTACKS.register_module()
class Corruption(Attack):
    """One of the 15 corruptions of ImageNet-C (Hendrycks and Dietterich, ICLR 2019), at one of its five severities.

    Not an attack: it asks no model anything, has no budget, and runs under the threat model ``'natural'`` alone. The
    settings are those of ImageNet-C for images of all sizes; those of CIFAR-10-C are milder. Images are rounded to
    whole pixels first. The random numbers of an image depend on its seed alone.

    Args:
        corruption: one of :data:`CORRUPTIONS`.
        severity: 1 (mild) to 5.

    Raises:
        DependencyError: if imagecorruptions-imaug is not installed.
        UsageError: for an unknown corruption or severity; when run, for an image with a side below 32 pixels.
    """

    access = 'nothing'
    adversarial = False

    def __init__(self, corruption: str, severity: int = 3):
        super().__init__(eps=None)
        if corruption not in CORRUPTIONS:
            raise UsageError(f'Corruption: unknown corruption {corruption!r}; {did_you_mean(corruption, CORRUPTIONS)}')
        self.corruption, self.severity = corruption, _checked_severity('Corruption', severity)
        self.stochastic = corruption not in _DETERMINISTIC
        self._corrupt = _library()

    @property
    def needs_labels(self) -> bool:
        return False

    def details(self) -> list[str]:
        return [self.corruption.replace('_', ' '), f'severity {self.severity}']

    def perturb(self, batch: AttackBatch) -> Tensor:
        small = next((size for size in batch.layout.sizes if min(size) < _LEAST_SIDE), None)
        if small is not None:
            raise UsageError(
                f'Corruption: the corruptions of ImageNet-C need images of at least {_LEAST_SIDE} pixels a side, and '
                f'there is one of {small[0]}x{small[1]}; enlarge the images in the pipeline'
            )
        images = [
            self._one(image, library_seed(batch, index), batch.source.channel_order)
            for index, image in enumerate(batch.pixels(batch.clean))
        ]
        return stack(images)[0]

    def _one(self, image: Tensor, seed: int, channel_order: Optional[str]) -> Tensor:
        """One image ``(3, H, W)``; the library takes and returns RGB bytes ``(H, W, 3)``."""
        ordered = image.flip(0) if channel_order == 'bgr' else image
        array = round_to_8bit(ordered).byte().permute(1, 2, 0).contiguous().cpu().numpy()
        own = dict(seed=seed % 2**32) if self.corruption in _TAKES_SEED else {}
        with seeded_globals(seed, image.device):
            found = self._corrupt(array, severity=self.severity, corruption_name=self.corruption, **own)
        corrupted = torch.from_numpy(np.array(found)).permute(2, 0, 1).to(image)
        return corrupted.flip(0) if channel_order == 'bgr' else corrupted


@ATTACKS.register_module()
class ImageNetC(Attack):
    """All corruptions of ImageNet-C, each in a row of its own, and their mean.

    In ``tools/test.py`` and in grids, where it stands for a :class:`Corruption` of each kind and severity.

    Args:
        severity: 1 (mild) to 5, or several.
        corruptions: some of :data:`CORRUPTIONS`; all by default.

    Raises:
        DependencyError: if imagecorruptions-imaug is not installed.
        UsageError: for an unknown corruption or severity; always when run.
    """

    access = 'nothing'
    adversarial = False

    def __init__(self, severity: Union[int, Sequence[int]] = 3, corruptions: Union[str, Sequence[str]] = CORRUPTIONS):
        super().__init__(eps=None)
        severities = [severity] if isinstance(severity, int) else list(severity)
        kinds = [corruptions] if isinstance(corruptions, str) else list(corruptions)
        if not severities or not kinds:
            raise UsageError(f'ImageNetC needs a severity and a corruption, got {severities} and {kinds}')
        self.severities = [_checked_severity('ImageNetC', value) for value in severities]
        self._members: dict[str, dict[str, Any]] = {}
        for kind in kinds:
            for value in self.severities:
                Corruption(kind, value)
                name = f'{kind} {value}' if len(self.severities) > 1 else kind
                self._members[name] = dict(type='Corruption', corruption=kind, severity=value)

    @property
    def needs_labels(self) -> bool:
        return False

    def members(self) -> dict[str, dict[str, Any]]:
        return self._members

    def details(self) -> list[str]:
        return [f'severity {", ".join(map(str, self.severities))}']

    def check_source(self, source: AttackSource) -> None:
        raise self._refusal()

    def perturb(self, batch: AttackBatch) -> Tensor:
        raise self._refusal()

    def _refusal(self) -> NoReturn:
        raise UsageError(
            'ImageNetC is a set of corruptions for tools/test.py and tools/robustness.py; elsewhere, use one of them: '
            "dict(type='Corruption', corruption='fog', severity=3)"
        )


def _checked_severity(name: str, severity: int) -> int:
    if not isinstance(severity, int) or not 1 <= severity <= _SEVERITIES:
        raise UsageError(f'{name}: severity is an integer from 1 to {_SEVERITIES}, got {severity!r}')
    return severity


def _library() -> Callable[..., Any]:
    """The function of imagecorruptions-imaug; the package that it is a fork of has a module of the same name."""
    try:
        metadata.version('imagecorruptions-imaug')
        from imagecorruptions import corrupt
    except ImportError as error:
        raise DependencyError(
            f'the corruptions of ImageNet-C come from imagecorruptions-imaug, which cannot be imported ({error}): '
            "pip install 'mmadvdefense[corruptions]'"
        ) from error
    found: Callable[..., Any] = corrupt
    return found
