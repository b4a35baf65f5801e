"""What was done to the test images, and what the results are."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, fields
from typing import Any, Optional, Sequence

import numpy as np

from ..errors import UsageError
from ..threats import ThreatModel

# The number that a table shows of those that a metric returns: the first of these that it has.
MAIN_METRICS = ('accuracy/top1', 'mIoU', 'pascal_voc/mAP', 'coco/bbox_mAP_50', 'coco/bbox_mAP')
# How the names of metrics begin that their hosts give as a fraction.
_FRACTIONS = ('pascal_voc/', 'coco/', 'cityscapes/', 'lvis/', 'openimages/', 'crowd_human/', 'dod/', 'youtube_vis/')

# The name of images that nothing was done to.
CLEAN = 'clean'


@dataclass
class Condition:
    """What is done to the test images.

    Attributes:
        name: as tables show it.
        attack: config of the attack, None for clean images.
        threat_model: under which the attack is run, None for clean images. It may be given as anything that
            :meth:`mmadvdefense.threats.ThreatModel.parse` reads.

    Raises:
        UsageError: for an attack without a threat model or a threat model without an attack, or an unknown one.
    """

    name: str
    attack: Optional[dict] = None
    threat_model: Optional[ThreatModel] = None

    def __post_init__(self) -> None:
        if (self.attack is None) != (self.threat_model is None):
            lacking = 'an attack' if self.attack is None else 'a threat model'
            raise UsageError(
                f'condition {self.name!r} has no {lacking}: it takes both, or neither of them for clean images'
            )
        if self.threat_model is not None:
            self.threat_model = ThreatModel.parse(self.threat_model)

    def as_dict(self) -> dict[str, Any]:
        """The condition in a form that JSON can hold."""
        threat = None if self.threat_model is None else self.threat_model.as_dict()
        return {'name': self.name, 'attack': self.attack, 'threat_model': threat}


@dataclass
class Result:
    """One cell: a condition and a defense.

    Attributes:
        condition: what was done to the images.
        purifier: whether the model had its purifier.
        metrics: the host's own numbers, None for those that are not defined (a mean over classes without images).
        measured: sizes of the perturbations (pixels 0-255), PSNR (dB) and queries; None stands for infinity.
        defense: the name of the defense.
        scores: of single images. Of a random defense ``draws``: their ``number``, and the share (per cent) of images
            that are correct in the ``worst`` of them and by ``majority``. Of all defenses the number of ``images``,
            how many of them are ``without_truth`` and left out of the
            rest, ``correct`` (per cent), the mean ``score`` (per cent) and its 95 % bootstrap ``interval``,
            ``changed``, the share (per cent) whose decision differs from that on the clean image (None for clean
            images), and ``unscored``, why none was scored. What is not known is None. Detectors also have ``errors``,
            the number of errors of each type (TIDE) over all images with annotations.
        amplification: of named layers, the mean over images of how much larger the perturbation of the layer's output
            is than that output (HGD, CVPR 2018): ``|f(x*) - f(x)|_1 / |f(x)|_1``.
        reason: why there are no numbers: why the attack cannot run, or what stopped it; None if there are.
        error: the traceback of what stopped it.
        samples: columns of the same length, one row for each image; see :class:`mmadvdefense.hooks.AttackHook`.
        examples: a few images; see :class:`mmadvdefense.hooks.example_images.ExampleImagesHook`.
    """

    condition: Condition
    purifier: bool
    metrics: dict[str, Optional[float]] = field(default_factory=dict)
    measured: dict[str, Optional[float]] = field(default_factory=dict)
    defense: str = 'none'
    scores: dict = field(default_factory=dict)
    amplification: dict[str, Optional[float]] = field(default_factory=dict)
    reason: Optional[str] = None
    error: Optional[str] = None
    samples: Optional[dict[str, list]] = None
    examples: Optional[dict[str, np.ndarray]] = None

    def as_dict(self) -> dict:
        """Everything but the single images, in a form that JSON can hold."""
        images = ('samples', 'examples')
        cell = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in images}
        return copy.deepcopy({**cell, 'condition': self.condition.as_dict()})

    @classmethod
    def from_dict(cls, cell: dict, samples: Optional[dict[str, list]] = None) -> Result:
        """The inverse of :meth:`as_dict`."""
        return cls(**{**cell, 'condition': Condition(**cell['condition']), 'samples': samples})


def fixed_name(defense: str) -> str:
    """The name under which a grid also tests a random defense with one fixed draw, which every attacker knows."""
    return f'{defense}, fixed seed'


def main_metric(results: Sequence[Result]) -> str:
    """The name of the number that a table shows."""
    names = list(next(result for result in results if result.metrics).metrics)
    for name in MAIN_METRICS:
        if name in names:
            return name
    return names[0]


def is_fraction(metric: Optional[str]) -> bool:
    """Whether a metric's host gives it as a fraction where the literature has per cent."""
    return metric is not None and metric.startswith(_FRACTIONS)


def percent(value: Optional[float], metric: str) -> Optional[float]:
    """A metric as the literature gives it."""
    return 100 * value if value is not None and is_fraction(metric) else value


def unit(metric: Optional[str]) -> str:
    """What a table appends to the name of a metric whose unit is known."""
    return ' (%)' if metric in MAIN_METRICS or is_fraction(metric) else ''
