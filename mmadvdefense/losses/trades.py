"""The objective of TRADES, for purified images."""

from __future__ import annotations

from torch import Tensor

from ..registry import MODELS
from .base import PurifierBatch
from .class_scores import ClassScoreLoss, Scores, at, divergence


@MODELS.register_module()
class TRADESLoss(ClassScoreLoss):
    """Cross-entropy on clean images, and beta times the divergence of adversarial ones from them (Zhang et al.,
    "Theoretically Principled Trade-off between Robustness and Accuracy", ICML 2019, equation 5).

    ``clean_weight * CE(p(G(x_c)), y) + beta * KL(p(G(x_c)) || p(G(x_a)))``, means over images (or pixels or boxes) with
    a class; the terms are ``loss_trades_clean`` and ``loss_trades_kl``. Gradients flow through both sides of the
    divergence. For TRADES alone, switch the host's loss off, which is on both halves: ``task_weight=0``; and attack the
    divergence: ``attack=dict(type='PGD', objective='kl', random_start='normal', ...)``.

    Args:
        beta: weight of the divergence, 1/lambda in the paper, where it is 1 or 6.
        clean_weight: weight of the cross-entropy on clean images; 0 if the host's loss is to do it.
        loss_weight: weight of both.
        ignore_index: label of vectors without a class.
    """

    def __init__(
        self, beta: float = 6.0, clean_weight: float = 1.0, loss_weight: float = 1.0, ignore_index: int = -100
    ) -> None:
        super().__init__(loss_weight, ignore_index)
        self.weights = dict(loss_trades_clean=clean_weight, loss_trades_kl=beta)

    def forward(self, clean: Tensor, adversarial: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Both parts, unweighted.

        Args:
            clean: class scores before the softmax of purified clean images, ``(M, K)``.
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
        return {
            'loss_trades_clean': scores.mean(-at(scores.clean, scores.labels)),
            'loss_trades_kl': scores.mean(divergence(scores.clean, scores.adversarial)),
        }
