"""The source model of an attack, which takes raw pixels and keeps its state."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, Optional, Sequence, Union

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from ..errors import UsageError
from ..models import all_modules, unwrap
from ..pixels import Pixels, swap_channels
from ..randomness import Randomness
from ..tasks import FeatureTap, Task, task_of
from ..tasks.detections.candidates import Candidates
from ..tasks.detections.objects import object_scores
from .defense import Defense

# Model inputs: a tensor, or a list of tensors for an ensemble. Only the source's own task interprets them.
ModelInputs = Any
# Values of a batch below which the layout makes no difference in time: 16 images of 32 x 32 pixels.
_SMALL = 16 * 3 * 32 * 32
# In relation to the largest score.
_ROUNDING = 1e-3


class AttackSource:
    """A host model whose inputs are raw pixels.

    A purifier in front of it is bypassed (via the preprocessor it wraps, ``native``): the attacker knows the model but
    not its defense, unless ``defense`` is given.

    The first class scores are compared with the model's own prediction, which costs one extra forward pass (see
    :meth:`check_scores`).

    Args:
        model: any host model with a ``data_preprocessor``; wrappers are removed.
        task: the model's task; inferred from its type by default.
        training: preprocess as the host does in training (segmentation pads to its crop size there).
        defense: the defense in front of the model, for an attacker who knows it.
        eot_samples: number of samples of a random defense over which gradients are averaged (EOT, Athalye et al., ICML
            2018).
        gradients: whether the attacker has access to gradients, or to outputs only.
        channel_order: channel order of the images passed in, ``'bgr'``, ``'rgb'`` or None if unknown.
        trained_on: channel order of the model's training images; images are converted to it.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Optional[Task] = None,
        training: bool = False,
        defense: Optional[Defense] = None,
        eot_samples: int = 1,
        gradients: bool = True,
        channel_order: Optional[str] = None,
        trained_on: Optional[str] = None,
    ):
        if eot_samples < 1:
            raise UsageError(f'eot_samples must be at least 1, got {eot_samples}')
        self.training = training
        self.defense = defense
        self.eot_samples = eot_samples
        self.gradients = gradients
        self.channel_order = channel_order
        self.swaps_channels: Union[bool, list[bool]] = bool(
            channel_order and trained_on and channel_order != trained_on
        )
        self._scores_checked = self._candidates_checked = False
        self._takes_channels_last: Optional[bool] = None
        # A wrapper has its own preprocessor.
        self.model = model = unwrap(model)
        self.task = task or task_of(model)
        preprocessor: BaseDataPreprocessor = model.data_preprocessor
        self.preprocessor: BaseDataPreprocessor = getattr(preprocessor, 'native', preprocessor)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.preprocessor.device
        return device

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Set eval mode and disable parameter gradients; on exit, restore every training flag and ``requires_grad``."""
        modules = all_modules(self.model)
        training = [module for module in modules if module.training]
        owned = [parameter for module in modules for parameter in module._parameters.values()]
        tracked = [parameter for parameter in owned if parameter is not None and parameter.requires_grad]
        for module in training:
            module.training = False
        for parameter in tracked:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for module in training:
                module.training = True
            for parameter in tracked:
                parameter.requires_grad_(True)

    def logits(self, images: Pixels, randomness: Optional[Randomness] = None) -> Tensor:
        """Class scores of raw pixels.

        Raises:
            ValueError: from :meth:`check_scores`, on first use of a source that is not for training.
        """
        inputs = self.preprocess(images, randomness)
        scores = self.task.logits(inputs)
        if not (self.training or self._scores_checked):
            self._hold_against_prediction(inputs, scores)
        return scores

    def check_scores(self, images: Pixels, randomness: Optional[Randomness] = None) -> None:
        """Compare the class scores with the model's own prediction; sources for training do so only on request.

        Training iterations must not synchronize with the device, so call it beforehand. Further calls do nothing.

        Raises:
            ValueError: if the model's decision is not based on these scores, or it has no class scores.
        """
        if not self._scores_checked:
            with torch.no_grad(), self.undisturbed():
                self._hold_against_prediction(self.preprocess(images, randomness))

    def _hold_against_prediction(self, inputs: ModelInputs, scores: Optional[Tensor] = None) -> None:
        if any(module.training for module in self.model.modules()):
            # Scores computed with dropout differ from those used for prediction.
            scores = None
        with torch.no_grad(), self.undisturbed():
            self.task.check_scores(inputs, scores)
        self._scores_checked = True

    def preprocess(self, images: Pixels, randomness: Optional[Randomness] = None) -> ModelInputs:
        """Convert raw pixels to model inputs, through the defense if the attacker knows one.

        Args:
            images: pixels.
            randomness: random numbers of a random defense.
        """
        if self.defense is not None:
            images = self.defense(images, Randomness(0) if randomness is None else randomness)
        inputs = self.task.preprocess(self.preprocessor, self.in_own_order(images), self.training)
        return inputs.contiguous(memory_format=torch.channels_last) if self._prefers_channels_last(inputs) else inputs

    def _prefers_channels_last(self, inputs: ModelInputs) -> bool:
        """Whether the model takes these inputs in channels-last layout, and convolutions are then faster.

        That is so on CPUs for batches that are not small. Feature maps follow the inputs, and weights stay as they are;
        results differ by rounding. In training, it is up to :class:`~mmadvdefense.hooks.ChannelsLastHook`.
        """
        if self.training or not self.task.any_layout or not inputs.is_cpu or inputs.numel() < _SMALL:
            return False
        if self._takes_channels_last is None:
            self._takes_channels_last = any(isinstance(layer, nn.Conv2d) for layer in self.model.modules())
            self._takes_channels_last = self._takes_channels_last and self._is_same_in_channels_last(inputs[:1])
        return self._takes_channels_last

    def _is_same_in_channels_last(self, inputs: Tensor) -> bool:
        with torch.no_grad(), self.undisturbed(), torch.random.fork_rng(devices=[]):
            expected = self.task.logits(inputs)
            try:
                found = self.task.logits(inputs.contiguous(memory_format=torch.channels_last))
            except RuntimeError:
                # Models that flatten feature maps with ``view`` (VGG) need the usual layout.
                return False
        return torch.allclose(found, expected, rtol=0, atol=_ROUNDING * float(expected.abs().max()))

    def in_own_order(self, images: Pixels) -> Pixels:
        """Swap the channels to the order of the model's training images if it is known to differ."""
        return swap_channels(images) if self.swaps_channels else images

    def losses(
        self, images: Pixels, data_samples: Sequence[Any], randomness: Optional[Randomness] = None
    ) -> dict[str, Tensor]:
        """The host's own losses on raw pixels; ``data_samples`` as returned by :meth:`prepare_samples`."""
        inputs = self.preprocess(images, randomness)
        with self.as_in_losses():
            return self.task.losses(inputs, data_samples)

    def candidates(
        self, images: Pixels, data_samples: Sequence[Any], randomness: Optional[Randomness] = None
    ) -> Candidates:
        """The boxes that a detector considers on raw pixels; ``data_samples`` as returned by :meth:`prepare_samples`.

        Raises:
            ValueError: on first use of a source that is not for training, if its detections are not the best of them.
        """
        inputs = self.preprocess(images, randomness)
        found = self.task.candidates(inputs, data_samples)
        if not (self.training or self._candidates_checked):
            with torch.no_grad(), self.undisturbed():
                self.task.check_candidates(found, inputs, data_samples)
            self._candidates_checked = True
        return found

    def object_scores(
        self, images: Pixels, data_samples: Sequence[Any], randomness: Optional[Randomness] = None
    ) -> Tensor:
        """Logarithm of the largest score of each class among the boxes on each object of raw pixels, ``(G, K)``."""
        with torch.no_grad(), self.undisturbed():
            found = self.candidates(images, data_samples, randomness)
            return object_scores(found, self.task.objects(data_samples, self.device), self.task.num_classes or 0)

    def prediction_scores(
        self, images: Pixels, data_samples: Sequence[Any], randomness: Optional[Randomness] = None
    ) -> Tensor:
        """How right the model's own prediction on raw pixels is: :meth:`~mmadvdefense.tasks.Task.prediction_scores`."""
        with torch.no_grad(), self.undisturbed():
            return self.task.prediction_scores(self.preprocess(images, randomness), data_samples)

    @contextmanager
    def as_in_losses(self) -> Iterator[None]:
        """Set the training flag of the modules that need it to compute the host's losses."""
        flagged = [module for module in self.task.loss_modules() if not module.training]
        for module in flagged:
            module.training = True
        try:
            yield
        finally:
            for module in flagged:
                module.training = False

    def prepare_samples(self, images: Pixels, data_samples: Sequence[Any]) -> list[Any]:
        return self.task.prepare_samples(self.preprocessor, images, data_samples, self.training)


class CleanReference:
    """``O(x_c)`` without a purifier, computed on first use and shared by the attack and the loss terms.

    Args:
        source: the model.
        images: clean pixels.
        tap: records features, if they are needed.
        randomness: random numbers of a random defense known to the attacker.
    """

    def __init__(
        self,
        source: AttackSource,
        images: Pixels,
        tap: Optional[FeatureTap] = None,
        randomness: Optional[Randomness] = None,
    ):
        self._source = source
        self._images = images
        self._tap = tap
        self._randomness = randomness
        self._logits: Optional[Tensor] = None
        self._features: Optional[Tensor] = None

    def _run(self, tap: FeatureTap) -> Tensor:
        """Run the layers of the tap once; the class scores are kept if they are those used by attacks."""
        if self._features is not None:
            return self._features
        with torch.no_grad(), self._source.undisturbed():
            inputs = self._source.preprocess(self._images, self._randomness)
            with tap:
                logits = self._source.task.reference(inputs)
            features = tap.take()
        if self._source.task.reference_has_logits:
            self._logits = logits
        self._features = features
        return features

    def select(self, index: Sequence[int]) -> CleanReference:
        """The reference of some images of the batch; computed values are reused."""
        randomness = self._randomness and self._randomness.select(index)
        part = CleanReference(self._source, self._images_at(index), self._tap, randomness)
        part._logits = None if self._logits is None else self._logits[list(index)]
        part._features = None if self._features is None else self._features[list(index)]
        return part

    def _images_at(self, index: Sequence[int]) -> Pixels:
        if isinstance(self._images, Tensor):
            return self._images[list(index)]
        return [self._images[i] for i in index]

    @property
    def logits(self) -> Tensor:
        """The class scores used by attacks; raises an error for tasks without class scores."""
        if self._tap is not None:
            self._run(self._tap)
        if self._logits is not None:
            return self._logits
        with torch.no_grad(), self._source.undisturbed():
            logits = self._source.task.logits(self._source.preprocess(self._images, self._randomness))
        self._logits = logits
        return logits

    @property
    def features(self) -> Tensor:
        if self._tap is None:
            raise RuntimeError('this reference was made without a feature tap')
        return self._run(self._tap)
