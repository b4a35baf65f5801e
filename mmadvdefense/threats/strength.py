"""Whether an attack is strong enough for its failure to say something: what it reaches where success is possible."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, NamedTuple, Optional, Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ..attacks import Attack, Candidate, WorstOf, num_target_classes
from ..errors import UnsupportedAttackError
from ..models import preprocessor_of
from ..pixels import Pixels
from ..purifiers import switched
from ..randomness import derive_seed
from ..tasks import NotScored, SampleScores, Task, task_of
from .binarization import Binarized
from .crafter import Crafter
from .sources import fitting_source
from .threat_model import ThreatModel
from .worst_case import scores_in_test

BINARIZATION, PIXELS, ATTAINABILITY = 'binarization', 'binarization of pixels', 'attainability'


class Frame(NamedTuple):
    """What a data set says of its annotations, as for :meth:`mmadvdefense.tasks.Task.score_samples`."""

    annotations_in_input_frame: bool
    ignored_are_crowds: bool = True
    channel_order: Optional[str] = None


def self_test_of(task: Task) -> str:
    """Which self-test models of a task get.

    A head of two classes takes class scores, which detectors do not have.
    """
    if not task.has_class_scores:
        return ATTAINABILITY
    return PIXELS if task.dense else BINARIZATION


class StrengthTest:
    """Runs an attack where success is possible, and tells how often it succeeds.

    Models with class scores get the binarization test (:class:`~mmadvdefense.threats.binarization.Binarized`). Others
    are attacked without their purifier, where the attack must take the share ``drop`` of an image's score.

    Args:
        model: the tested model, with its purifier if it has one.
        attack: what is tested.
        config: its config.
        threat: the attacker, who has gradients.
        frame: of the annotations.
        seed: of points, starts and targets.
        quantize: round adversarial images to whole pixels.
        drop: the share of an image's score that an attack must take where there is no binarization test.

    Raises:
        UnsupportedAttackError: for an attack without a ball, or one that cannot run on this model.
    """

    def __init__(
        self,
        model: BaseModel,
        attack: Attack,
        config: dict[str, Any],
        threat: ThreatModel,
        frame: Frame,
        seed: int = 0,
        quantize: bool = False,
        drop: float = 0.5,
    ):
        if attack.eps is None:
            raise UnsupportedAttackError(
                f'{type(attack).__name__} has no ball in which an adversarial image could exist'
            )
        self._model, self._frame, self._seed, self._drop = model, frame, seed, drop
        self._task = task_of(model)
        self.name = self_test_of(self._task)
        if self.name == ATTAINABILITY:
            threat = ThreatModel('gray-box')
        self._source = fitting_source(attack, threat, model, frame.channel_order)
        # As many targets as the model that is attacked has wrong classes: of two, one.
        classes = num_target_classes(self._task) if self.name == ATTAINABILITY else 2
        parts = attack.candidates(classes) if isinstance(attack, WorstOf) else [Candidate(attack, config)]
        self._parts = [
            (part, Crafter(part, self._source, own, threat, seed=self._restarted(restart), quantize=quantize))
            for part, own, restart, _ in parts
        ]

    def _restarted(self, restart: int) -> int:
        return derive_seed(self._seed, 'restart', restart) if restart else self._seed

    def __call__(self, image: Tensor, sample: Any, identity: str) -> Optional[float]:
        """How much of an image the attack succeeds on, 0-1; None if success is not possible there.

        Args:
            image: clean float pixels 0-255 on the model's device, ``(1, 3, H, W)``.
            sample: the host's data sample as the pipeline gives it.
            identity: what identifies the image in its data set.
        """
        if self.name == ATTAINABILITY:
            return self._attain(image, sample, identity)
        with self._source.undisturbed():
            return self._find(image, sample, identity)

    def _find(self, image: Tensor, sample: Any, identity: str) -> Optional[float]:
        """The largest share of the positions at which one of the parts of the attack finds class 1."""
        best = None
        for part, crafter in self._parts:
            seed = derive_seed(self._seed, 'strength', identity)
            binarized = Binarized(self._source, self._task, image, part.ball, seed)
            if binarized.exists:
                # The same random numbers would draw the corner that is class 1.
                images = crafter(image, [sample], [f'self-test of {identity}']).images
                best = max(best or 0.0, binarized.found(_stacked(images)))
        return best

    def _attain(self, image: Tensor, sample: Any, identity: str) -> Optional[float]:
        own = self._task.in_input_frame([sample], self._frame.annotations_in_input_frame)
        scores: Callable[[Pixels], SampleScores] = partial(
            scores_in_test, self._model, self._task, [sample], self._frame.annotations_in_input_frame,
            self._frame.ignored_are_crowds, False,
        )  # fmt: skip
        with switched(preprocessor_of(self._model), False):
            try:
                clean = float(scores(image).score)
                if not clean > 0:
                    return None
                attacked = [float(scores(crafter(image, own, [identity]).images).score) for _, crafter in self._parts]
            except NotScored as error:
                raise UnsupportedAttackError(str(error)) from error
        return float(min(attacked) <= (1 - self._drop) * clean)


def _stacked(images: Pixels) -> Tensor:
    return images if isinstance(images, Tensor) else torch.stack(list(images))


def mean_of(rates: Sequence[Optional[float]]) -> Optional[float]:
    """The mean over the images on which success is possible; None if there are none."""
    known = [rate for rate in rates if rate is not None]
    return sum(known) / len(known) if known else None
