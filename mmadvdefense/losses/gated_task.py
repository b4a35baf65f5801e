"""The target's own loss, once the images are good enough."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..errors import UsageError
from ..registry import MODELS
from .base import ImageName, PurifierBatch, PurifierLoss, check_image_name, total


@MODELS.register_module()
class GatedTaskLoss(PurifierLoss):
    """The host's own loss on batches whose restored images are close to the clean ones, and nothing on others: the
    second phase of FPD (Li et al., CVPR 2020).

    ``loss_weight * [MSE(restored, clean) <= threshold] * L``, where ``L`` is the sum of the host's losses as it
    computes them, the mean over all images that the target has seen. Use it with ``task_weight=0``, which switches off
    the same loss everywhere else. The term is ``loss_task_gated``, for all tasks.

    Args:
        threshold: mean squared difference of images in [-1, 1] from which on the loss is on; four times that of images
            in [0, 1].
        restored: the images whose distance counts; they are compared with the clean ones.
        loss_weight: weight of the term.

    Raises:
        ValueError: for a threshold that is not above 0, or if ``restored`` is not an :data:`ImageName`.
    """

    def __init__(
        self, threshold: float = 0.02, restored: ImageName = 'purified_adversarial', loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        if not threshold > 0:
            raise UsageError(f'GatedTaskLoss: threshold must be > 0, got {threshold}')
        check_image_name('restored', restored)
        self.threshold = threshold
        self.restored: ImageName = restored

    def forward(self, restored: Tensor, clean: Tensor, task_loss: Tensor) -> Tensor:
        """The scalar ``task_loss``, or 0 times it while images ``(N, 3, H, W)`` in [-1, 1] differ too much."""
        # Multiplied rather than decided, which would wait for the device.
        return task_loss * (F.mse_loss(restored.detach(), clean) <= self.threshold).to(task_loss.dtype)

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        losses = batch.task_losses
        if not self.loss_weight or not losses:
            return {}
        gated = self(batch.pixels(self.restored), batch.pixels('clean'), total(losses))
        return {'loss_task_gated': self.loss_weight * gated}
