"""One perturbation or one patch fitted to a whole data set."""

from __future__ import annotations

from abc import abstractmethod
from functools import reduce
from typing import Any, Callable, Optional, Sequence, Union

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ...errors import StateError, UsageError
from ...pixels import PIXEL_MAX, Pixels, check_channels, check_pixels
from ...randomness import Randomness, derive_seed, image_names
from ...tasks import annotations_in_input_frame, check_frame
from ..balls import AREA, Ball
from ..base import Attack
from ..batch import AttackBatch
from ..ensemble import views
from ..objectives import HostLossObjective, build_objective, is_labelled
from ..source import AttackSource
from .budget import AreaBudget
from .placement import Boxes, Placement
from .poses import RandomPoses, paste
from .universal_file import Universal

OPTIMIZERS = ('sign', 'adam')


class UniversalFit(Attack):
    """Stochastic gradient ascent on what is common to all images: every batch that it runs on is one step.

    Algorithm 2 of Shafahi et al. ("Universal Adversarial Training", AAAI 2020), with steps along the sign of the
    gradient or by Adam. In place of a search for the minimal perturbation of each image (Moosavi-Dezfooli et al., CVPR
    2017), the objective grows over the whole data set.

    Args:
        eps: L-infinity radius in pixels (0-255).
        norm: of the budget.
        step_size: pixel values (0-255) per step; the learning rate of Adam.
        objective: the objective to maximize: a short name or a config.
        optimizer: ``'sign'`` or ``'adam'``.
        target_class: the class that all images are moved to; None for untargeted.
        cap: the largest value of the objective that counts for an image, without which few images with a huge loss
            would decide (beta of the paper, for the cross-entropy 9); None for no cap.

    Attributes:
        values: what has been found so far, ``(3, H, W)``; None before the first batch.
        last_objective: mean objective of the images of the last batch, each at most ``cap``.

    Raises:
        ValueError: for an invalid value.
    """

    def __init__(
        self,
        eps: float,
        norm: str,
        step_size: float,
        objective: Union[str, dict[str, Any]] = 'cross_entropy',
        optimizer: str = 'sign',
        target_class: Optional[int] = None,
        cap: Optional[float] = None,
    ):
        super().__init__(eps, norm)
        name = type(self).__name__
        self.objective = build_objective(objective)
        if not step_size > 0:
            raise UsageError(f'{name}: step_size is in pixels (0-255) and must be > 0, got {step_size}')
        if optimizer not in OPTIMIZERS:
            raise UsageError(f'{name}: unknown optimizer {optimizer!r}; known: {", ".join(OPTIMIZERS)}')
        if target_class is not None and not self.objective.targetable:
            raise UsageError(f'{name}: the objective {objective!r} has no targeted form')
        if cap is not None and isinstance(self.objective, HostLossObjective):
            raise UsageError(
                f"{name}: cap needs an objective on class scores, and {objective!r} is on the host's losses"
            )
        self.step_size, self.optimizer = float(step_size), optimizer
        self.target_class, self.cap = target_class, cap
        self.values: Optional[Tensor] = None
        self.last_objective: Optional[Tensor] = None
        self._adam: Optional[torch.optim.Adam] = None

    @abstractmethod
    def first(self, batch: AttackBatch) -> Tensor:
        """What to start with, ``(3, H, W)``."""

    @abstractmethod
    def show(self, values: Tensor, batch: AttackBatch) -> Tensor:
        """The images of a batch with these values, ``(N, 3, H, W)`` pixels 0-255; differentiable."""

    @abstractmethod
    def project_values(self, values: Tensor) -> Tensor:
        """Values inside the budget."""

    @abstractmethod
    def result(self, channel_order: Optional[str], made: dict[str, Any]) -> Universal:
        """What was found, for a file.

        Args:
            channel_order: of the images.
            made: how it was found.
        """

    @property
    def found(self) -> Tensor:
        """:attr:`values`, after the first batch."""
        if self.values is None:
            raise StateError(f'{type(self).__name__} has not seen any images yet')
        return self.values.detach()

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        name, classes = type(self).__name__, source.task.num_classes
        self.objective.check_task(name, source.task)
        if self.target_class is not None and not 0 <= self.target_class < (classes or 0):
            raise UsageError(f'{name}: there is no target class {self.target_class}; the model has {classes}, from 0')

    def choose_targets(self, batch: AttackBatch) -> Optional[Tensor]:
        if self.target_class is None:
            return None
        labelled = is_labelled(batch.labels, batch.source.task.ignore_index)
        return torch.full_like(batch.labels, self.target_class).where(labelled, batch.labels)

    def perturb(self, batch: AttackBatch) -> Tensor:
        """Take one step, and return the images as they were before it."""
        if self.values is None:
            self.values = self.first(batch)
        values = self.values.detach().requires_grad_()
        with torch.enable_grad():
            images = self.show(values, batch)
            value = reduce(torch.add, (self._objective(images, view) for view in views(batch, self.objective)))
            (gradient,) = torch.autograd.grad(value, values)
        self.last_objective = value.detach()
        self._step(gradient)
        return images

    def _objective(self, images: Tensor, batch: AttackBatch) -> Tensor:
        """A mean over images, as host losses are."""
        pixels = batch.pixels(images)
        if isinstance(self.objective, HostLossObjective):
            return self.objective(pixels, batch)
        values = self.objective.values(pixels, batch)
        return (values if self.cap is None else values.clamp(max=self.cap)).mean()

    def _step(self, gradient: Tensor) -> None:
        assert self.values is not None, 'there are values by the first batch'
        if self.optimizer == 'sign':
            moved = self.values + self.step_size * gradient.sign()
        else:
            self._adam = self._adam or torch.optim.Adam([self.values], self.step_size, maximize=True)
            self.values.grad = gradient
            self._adam.step()
            moved = self.values
        # In place, because Adam knows its parameters by identity.
        self.values.copy_(self.project_values(moved))


class UniversalPerturbationFit(UniversalFit):
    """Fits one perturbation to images of one size.

    Args:
        eps: L-infinity radius in pixels (0-255).
        step_size: an eighth of ``eps`` by default.
        options: of :class:`UniversalFit`.
    """

    def __init__(self, eps: float, step_size: Optional[float] = None, **options: Any):
        if not eps > 0:
            raise UsageError(f'{type(self).__name__}: eps is a radius in pixels (0-255) and must be > 0, got {eps}')
        self.radius = float(eps)
        super().__init__(eps, 'linf', eps / 8 if step_size is None else step_size, **options)

    def first(self, batch: AttackBatch) -> Tensor:
        return torch.zeros_like(batch.clean[0])

    def show(self, values: Tensor, batch: AttackBatch) -> Tensor:
        size = values.shape[-2:]
        other = next((other for other in batch.layout.sizes if other != tuple(size)), None)
        if other is not None:
            raise UsageError(
                'a universal perturbation is for images of one size, and there are some of '
                f'{size[0]}x{size[1]} and of {other[0]}x{other[1]}: resize them in the pipeline, or fit a patch'
            )
        return (batch.clean + values).clamp(0, PIXEL_MAX)

    def project_values(self, values: Tensor) -> Tensor:
        return values.clamp(-self.radius, self.radius)

    def result(self, channel_order: Optional[str], made: dict[str, Any]) -> Universal:
        return Universal(self.found, eps=self.radius, channel_order=channel_order, made=made)


class UniversalPatchFit(AreaBudget, UniversalFit):
    """Fits one patch to images of any size, in random poses (Brown et al., "Adversarial Patch", 2017).

    Its resolution is the one it has in the largest image of the first batch.

    Args:
        area: largest share of an image that the patch covers, in (0, 1).
        step_size: pixel values (0-255) per step.
        shape: ``'square'``, or ``'image'`` for the proportions of the image.
        scales, rotation, brightness: as for :class:`~mmadvdefense.attacks.patch.attacks.PatchAttack`.
        options: of :class:`UniversalFit`.
    """

    def __init__(
        self,
        area: float = 0.05,
        step_size: float = 8.0,
        shape: str = 'square',
        scales: Sequence[float] = (0.8, 1.2),
        rotation: float = 20.0,
        brightness: float = 0.2,
        **options: Any,
    ):
        name = type(self).__name__
        self.placement = Placement(name, area, 'random', shape)
        self.poses = RandomPoses(name, True, scales, rotation, brightness)
        super().__init__(PIXEL_MAX, AREA, step_size, **options)

    def first(self, batch: AttackBatch) -> Tensor:
        height, width = self.placement.sides(batch.layout.sizes).amax(0).int().tolist()
        like = batch.clean.new_empty(1, 3, height, width)
        # The same for all images of the batch, so it cannot be drawn from the streams of single ones.
        seeds = batch.randomness.seeds
        seed = seeds if isinstance(seeds, int) else derive_seed(*seeds)
        return PIXEL_MAX * Randomness(seed).derive('patch').uniform_like(like)[0]

    def show(self, values: Tensor, batch: AttackBatch) -> Tensor:
        content = values.expand(len(batch), -1, -1, -1)
        pose = self.poses.draw(self.placement.boxes(batch), batch)
        return paste(content, Boxes.whole(content), pose, batch.clean)

    def ball_around(self, batch: AttackBatch) -> Optional[Ball]:
        # The images of a step are not a result, and have the patch in other poses.
        return None

    def project_values(self, values: Tensor) -> Tensor:
        return values.clamp(0, PIXEL_MAX)

    def result(self, channel_order: Optional[str], made: dict[str, Any]) -> Universal:
        placement = self.placement
        return Universal(self.found, area=placement.area, shape=placement.shape, channel_order=channel_order, made=made)


def fit_universal(
    fit: UniversalFit,
    source: AttackSource,
    loader: DataLoader[Any],
    epochs: int,
    seed: int = 0,
    report: Optional[Callable[[int, float], None]] = None,
) -> None:
    """Fit to all images of a data set, one step a batch.

    Args:
        fit: what is fitted; :attr:`UniversalFit.values` holds the result.
        source: the model that it is fitted on.
        loader: of images without augmentation, with ground truth.
        epochs: how often each image is seen.
        seed: of start and poses.
        report: called after every epoch with its number, from 1, and its mean objective.

    Raises:
        ValueError: for a model without this objective, images that are no raw pixels, or an image that a patch does
            not fit into.
    """
    fit.check_source(source)
    if source.task.dense:
        check_frame(loader.dataset)
    in_input_frame = annotations_in_input_frame(loader.dataset)
    for epoch in range(epochs):
        if hasattr(loader.sampler, 'set_epoch'):
            loader.sampler.set_epoch(epoch)
        total, images_seen = torch.zeros((), device=source.device), 0
        for number, data in enumerate(loader):
            samples = source.task.in_input_frame(data['data_samples'], in_input_frame)
            images = _load(source, data['inputs'], samples)
            fit.run(source, images, samples, Randomness(derive_seed(seed, 'universal', epoch, number)))
            assert fit.last_objective is not None, 'every batch has an objective'
            total += fit.last_objective * len(samples)
            images_seen += len(samples)
        if report is not None:
            report(epoch + 1, total.item() / images_seen)


def _load(source: AttackSource, inputs: Pixels, samples: Sequence[Any]) -> Pixels:
    names = [str(sample.get('img_path') or name) for sample, name in zip(samples, image_names(inputs, samples))]
    check_channels(inputs, names)
    check_pixels(inputs, names)
    images = source.preprocessor.cast_data(inputs)
    return images.float() if isinstance(images, Tensor) else [image.float() for image in images]
