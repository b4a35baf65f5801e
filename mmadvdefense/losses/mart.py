"""The objective of MART, for purified images."""

from __future__ import annotations

import math

from torch import Tensor

from ..registry import MODELS
from .base import PurifierBatch
from .class_scores import ClassScoreLoss, Scores, at, divergence


@MODELS.register_module()
class MARTLoss(ClassScoreLoss):
    """Boosted cross-entropy on adversarial images, and a divergence that counts where clean images are misclassified
    (Wang et al., "Improving Adversarial Robustness Requires Revisiting Misclassified Examples", ICLR 2020, equations 8
    and 11).

    ``BCE = -log p_y(G(x_a)) - log(1 - max_{k != y} p_k(G(x_a)))`` is ``loss_mart_bce``, and ``beta`` times the mean of
    ``KL(p(G(x_c)) || p(G(x_a))) * (1 - p_y(G(x_c)))`` is ``loss_mart_kl``; means over images (or pixels or boxes) with
    a class. Gradients flow through all of it, as in the authors' code. For MART alone, switch the host's loss off:
    ``task_weight=0``.

    Args:
        beta: weight of the divergence, lambda in the paper, where it is 5.
        loss_weight: weight of both.
        ignore_index: label of vectors without a class.
    """

    def __init__(self, beta: float = 5.0, loss_weight: float = 1.0, ignore_index: int = -100) -> None:
        super().__init__(loss_weight, ignore_index)
        self.weights = dict(loss_mart_bce=1.0, loss_mart_kl=beta)

    def forward(self, clean: Tensor, adversarial: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Both parts, unweighted.

        Args:
            clean: class scores before the softmax of purified clean images, ``(M, K)`` with K of at least 2.
            adversarial: those of purified adversarial images, ``(M, K)``.
            labels: ``(M,)`` integers.
        """
        return self._parts(self.prepared(clean, adversarial, labels))

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        weights = {name: self.loss_weight * weight for name, weight in self.weights.items()}
        parts = self._parts(self.scores(batch)) if any(weights.values()) else {}
        return {name: weights[name] * part for name, part in parts.items() if weights[name]}

    @staticmethod
    def _parts(scores: Scores) -> dict[str, Tensor]:
        adversarial, labels = scores.adversarial, scores.labels
        wrong = adversarial.scatter(1, labels[:, None], -math.inf).argmax(1)
        # log(1 - p_k) as the sum over all other classes, which is exact where p_k is close to 1.
        others = adversarial.scatter(1, wrong[:, None], -math.inf).logsumexp(1)
        misclassified = 1 - at(scores.clean, labels).exp()
        return {
            'loss_mart_bce': scores.mean(-at(adversarial, labels) - others),
            'loss_mart_kl': scores.mean(divergence(scores.clean, adversarial) * misclassified),
        }
