"""A two-class model of one image that has an adversarial image by construction: the binarization test.

Zimmermann et al., "Increasing Confidence in Adversarial Robustness Evaluations", NeurIPS 2022, section 4: an attack
that does not find an adversarial image where there is one says nothing about robustness where it finds none.
"""

from __future__ import annotations

from typing import Any, NoReturn, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attacks import AttackSource
from ..attacks.balls import Ball
from ..pixels import Pixels
from ..randomness import Randomness, derive_seed
from ..tasks import FeatureTap, SampleScores, Task

# Points of class 0 besides the clean image, and their radius relative to that of the ball.
INNER_POINTS = 49
INNER_RADIUS = 0.9
# From a corner of the ball, sign steps of a quarter of its radius look for an image that is deeper in class 1.
SEARCH_STEPS = 10
SEARCH_STEP = 0.25
# Where the decision boundary lies between the highest score of class 0 (0) and that of the image of class 1 (1). Just
# before a corner, as published; half way to what the search finds, which is much farther if the gradient is any good.
CORNER_BOUNDARY = 0.999
SEARCH_BOUNDARY = 0.5
# How many positions of a segmentor's feature map have a head each.
POSITIONS = 64
_RIDGE, _NEWTON_STEPS, _IMAGES_AT_ONCE = 1e-3, 30, 8


class BinarizedTask(Task):
    """Reads two classes off the frozen features of a model, by one logistic head for every position.

    A classifier has one position, the input of its last layer. A segmentor has up to 64 random ones of its feature map,
    since its attacks weigh pixels against each other and would not run on a single decision: all heads are fitted to
    the same points, so one image is adversarial at all positions at once.

    Args:
        task: of the model, which stays as it is.
        positions: which positions of the flat feature map have heads; None for whole images.
    """

    has_label_map = False

    def __init__(self, task: Task, positions: Optional[Tensor] = None):
        super().__init__(task.model)
        self.inner = task
        self.name, self.noun, self.dense = task.name, task.noun, task.dense
        self.positions = positions
        self.weight: Tensor = torch.empty(0)
        self.bias: Tensor = torch.empty(0)
        self._tap = task.feature_tap()

    def features(self, inputs: Tensor) -> Tensor:
        """``(N, P, L)`` of preprocessed images, one vector for each position."""
        with self._tap:
            self.inner.reference(inputs)
        features = self._tap.take()
        if features.ndim == 2:
            return features[:, None]
        flat = features.flatten(2).transpose(1, 2)
        return flat.mean(1, keepdim=True) if self.positions is None else flat[:, self.positions]

    def scores(self, inputs: Tensor) -> Tensor:
        """``(N, P)``, above 0 in class 1."""
        return (self.features(inputs) * self.weight).sum(2) + self.bias

    def logits(self, inputs: Tensor) -> Tensor:
        """``(N, 2)``, of a segmentor ``(N, 2, 1, P)``."""
        scores = self.scores(inputs)
        both = torch.stack([-scores, scores], 1) / 2
        return both[:, :, 0] if self.positions is None else both[:, :, None]

    @property
    def reference_has_logits(self) -> bool:
        return False

    def reference(self, inputs: Tensor) -> Optional[Tensor]:
        return self.inner.reference(inputs)

    def preprocess(self, preprocessor: nn.Module, images: Pixels, training: bool = False) -> Tensor:
        return self.inner.preprocess(preprocessor, images, training)

    def losses(self, inputs: Tensor, data_samples: Sequence) -> dict[str, Tensor]:
        return {'loss': self.cross_entropy(self.logits(inputs), self.labels(data_samples, inputs.device)).mean()}

    def prepare_samples(
        self, preprocessor: nn.Module, images: Pixels, data_samples: Sequence, training: bool = False
    ) -> list:
        """The truth is class 0 everywhere, whatever the samples say."""
        shape = () if self.positions is None else (1, len(self.positions))
        return [{'label': torch.zeros(shape, dtype=torch.long)} for _ in data_samples]

    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        return torch.stack([sample['label'] for sample in data_samples]).to(device)

    def relabel(self, data_samples: Sequence, target: Tensor) -> list:
        return [{'label': label} for label in target.unbind()]

    def ground_truth(self, data_sample: Any) -> list:
        return [data_sample['label']]

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, target, reduction='none')
        return losses.view(len(losses), -1).sum(1)

    @property
    def num_classes(self) -> int:
        return 2

    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        return self.inner.feature_tap(layer)

    def _never(self) -> NoReturn:
        raise NotImplementedError('a binarized model is attacked, not tested or trained')

    def score_samples(
        self, predictions: Sequence, annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> SampleScores:
        self._never()

    def class_features(self, features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
        self._never()

    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        self._never()


class Binarized:
    """The two-class model of one image, in the place of a source's own task.

    Class 0 holds the clean image and random points of a smaller ball, class 1 a corner of the ball. The decision
    boundary is then moved towards class 1: to just before the corner, or half way to the image to which a short search
    leads from there if that is farther. (With the corner alone, as published, one PGD step passes on an undefended
    ResNet-20. Where a defense breaks the gradient, the search stays at the corner.) On the clean image, the margin is
    that of the model itself, so that a loss that saturates there saturates here.

    Of a random defense each point of class 0 has a draw of its own; whether an image is in class 1 is decided by one
    fixed draw, which the attack does not know.

    Args:
        source: what an attack runs on; its task is replaced by :attr:`task`.
        task: the source's own.
        image: clean pixels ``(1, 3, H, W)``.
        ball: of the attack.
        seed: of the points.
    """

    def __init__(self, source: AttackSource, task: Task, image: Tensor, ball: Ball, seed: int):
        self.source = source
        self._seed = seed
        self._tested = derive_seed(seed, 'tested draw')
        with torch.no_grad():
            self.task = BinarizedTask(task, _positions(task, self._preprocessed(image), Randomness([seed])))
            inner, corner = self._points(image, ball)
            lowest, weight, bias = self._fit(inner, corner)
        source.task = self.task
        self.task.weight, self.task.bias = weight, bias
        self._place_boundary(task, image, corner, self._search(corner, image, ball), lowest)

    @property
    def exists(self) -> bool:
        """Whether the heads of at least one position hold an image of class 1 against all points of class 0."""
        return bool(self._kept.any())

    @torch.no_grad()
    def found(self, images: Tensor) -> float:
        """The share of the positions at which an image ``(1, 3, H, W)`` is in class 1; for a classifier 0 or 1."""
        return float((self._scores(images) > 0)[0, self._kept].float().mean())

    def _preprocessed(self, images: Tensor, seeds: Optional[Sequence[int]] = None) -> Tensor:
        inputs: Tensor = self.source.preprocess(images, Randomness(seeds or [self._tested]))
        return inputs

    def _scores(self, images: Tensor) -> Tensor:
        return self.task.scores(self._preprocessed(images))

    def _points(self, image: Tensor, ball: Ball) -> tuple[Tensor, Tensor]:
        """The inner points, clean image first, and a corner of the ball."""
        inner = Randomness([derive_seed(self._seed, 'inner', number) for number in range(INNER_POINTS)])
        many = image.expand(INNER_POINTS, -1, -1, -1)
        points = ball.project(many + INNER_RADIUS * ball.random_delta(many, inner), many)
        direction = ball.steepest(Randomness([derive_seed(self._seed, 'corner')]).normal_like(image))
        return torch.cat([image, points]), ball.project(image + ball.eps * direction, image)

    def _fit(self, inner: Tensor, corner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The highest score of class 0 at each position, ``(P,)``, weights ``(P, L)`` and biases ``(P,)``."""
        draws = [self._tested, *(derive_seed(self._seed, 'draw', number) for number in range(len(inner) - 1))]
        features = [
            self.task.features(self._preprocessed(images, seeds))
            for images, seeds in zip(inner.split(_IMAGES_AT_ONCE), _chunks(draws))
        ]
        of_corner = self.task.features(self._preprocessed(corner))
        points = torch.cat([*features, of_corner]).transpose(0, 1)
        weight, bias = fit_logistic(points, torch.arange(points.shape[1], device=points.device) == len(inner))
        scores = (points[:, :-1] * weight[:, None]).sum(2) + bias[:, None]
        return scores.amax(1), weight, bias

    def _search(self, corner: Tensor, image: Tensor, ball: Ball) -> Tensor:
        """Where steps along the gradient of the scores lead from the corner."""
        images = corner
        for _ in range(SEARCH_STEPS):
            with torch.enable_grad():
                images = images.detach().requires_grad_()
                scores = self._scores(images).sum()
                # A defense without any gradient cuts the graph.
                (gradient,) = torch.autograd.grad(scores, images) if scores.requires_grad else (images.detach() * 0,)
            step = SEARCH_STEP * ball.eps * ball.steepest(gradient.nan_to_num(0, 0, 0))
            images = ball.project(images.detach() + step, image)
        return images

    @torch.no_grad()
    def _place_boundary(self, task: Task, image: Tensor, corner: Tensor, found: Tensor, lowest: Tensor) -> None:
        at_corner, at_found = (self._scores(images)[0] - lowest for images in (corner, found))
        # One image for all positions: where it is no better than the corner, the corner is that image.
        deepest = at_found if at_found.mean() > at_corner.mean() else at_corner
        near_corner = CORNER_BOUNDARY * torch.minimum(at_corner, deepest)
        boundary = torch.maximum(SEARCH_BOUNDARY * deepest, near_corner) + lowest
        inputs = self._preprocessed(image)
        best = task.logits(inputs).topk(2, 1).values
        clean = self.task.scores(inputs)[0] - boundary
        self._kept = (deepest > 0) & (clean < 0)
        margin = (best[:, 0] - best[:, 1]).mean().clamp(min=torch.finfo(best.dtype).eps)
        scale = torch.where(self._kept, margin / clean.abs(), 0)
        self.task.bias = (self.task.bias - boundary) * scale
        self.task.weight = self.task.weight * scale[:, None]


def _positions(task: Task, inputs: Tensor, randomness: Randomness) -> Optional[Tensor]:
    """Random positions of a segmentor's feature map; None for a task of whole images."""
    if not task.dense:
        return None
    with task.feature_tap() as tap:
        task.reference(inputs)
    features = tap.take()
    order = randomness.uniform_like(features[:, :1]).flatten().argsort()
    return order[:POSITIONS]


def _chunks(values: Sequence[int]) -> list[list[int]]:
    starts = range(0, len(values), _IMAGES_AT_ONCE)
    return [list(values[start : start + _IMAGES_AT_ONCE]) for start in starts]


def fit_logistic(points: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Logistic regressions with an L2 penalty, both classes with half of the weight, by Newton's method in the dual.

    With the coefficients ``a`` of the points, ``f = K a`` and ``p = sigmoid(f)``, the minimum of
    ``sum_i w_i CE(f_i, t_i) + r/2 a' K a`` is where ``r a = w (t - p)``, which each step solves linearized.

    Args:
        points: ``(P, M, L)``, M points for each of P independent regressions; centred and scaled inside.
        positive: ``(M,)`` bool, which points are in class 1.

    Returns:
        Weights ``(P, L)`` and biases ``(P,)``, for points as they were given, in their type.
    """
    exact = points.double()
    centre = exact.mean(1, keepdim=True)
    # One scale for all features: each with its own, a feature that is dead in all points but one would decide alone,
    # and its gradient is zero nearly everywhere.
    spread = exact.var(1, keepdim=True).mean(2, keepdim=True).sqrt()
    scale = torch.where(spread > 0, 1 / spread, 0)
    known = (exact - centre) * scale
    count = known.shape[2]
    kernel = known @ known.transpose(1, 2) / count + 1
    truth = positive.double()
    share = torch.where(positive, 0.5 / truth.sum(), 0.5 / (1 - truth).sum())
    penalty = _RIDGE * torch.eye(len(truth), dtype=truth.dtype, device=truth.device)
    dual = torch.zeros_like(kernel[:, :, :1])
    for _ in range(_NEWTON_STEPS):
        value = kernel @ dual
        chance = value.sigmoid()
        curvature = share[:, None] * chance * (1 - chance)
        right = curvature * value + (share * truth)[:, None] - share[:, None] * chance
        dual = torch.linalg.solve(curvature * kernel + penalty, right)
    weight = (dual * known).sum(1) / count * scale[:, 0]
    bias = dual.sum((1, 2)) - (weight * centre[:, 0]).sum(1)
    return weight.to(points), bias.to(points)
