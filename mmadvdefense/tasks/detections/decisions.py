"""How right a detector's own prediction is on the images of a batch, all at once."""

from __future__ import annotations

import math
from typing import Any, Sequence

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from ...errors import UsageError
from ..sample_scores import CONFIDENCE, OVERLAP
from .tables import BoxTable, ScoredBoxes, iou, table_of

# Rounding of scores in 0-1.
_TIE = 1e-3


def fresh_samples(data_samples: Sequence[Any], inputs: Tensor) -> list[Any]:
    """Data samples without annotations, for a forward pass that may write to them, with the size of its input."""
    size = tuple(inputs.shape[-2:])
    return [type(sample)(metainfo={**sample.metainfo, 'batch_input_shape': size}) for sample in data_samples]


def detections_of(model: BaseModel, inputs: Tensor, data_samples: Sequence[Any]) -> ScoredBoxes:
    """The detections of a model in the frame of its input, those with a confidence of at least 0.3.

    Raises:
        ValueError: for a model that predicts no boxes.
    """
    predicted = model.predict(inputs, fresh_samples(data_samples, inputs), rescale=False)
    if any('pred_instances' not in sample or 'bboxes' not in sample.pred_instances for sample in predicted):
        raise UsageError(f'{type(model).__name__} predicts no boxes, so no image fools it by its boxes')
    found = [sample.pred_instances for sample in predicted]
    found = [own[own.scores >= CONFIDENCE] for own in found]
    table = table_of([own.bboxes for own in found], [own.labels for own in found])
    scores = torch.cat([own.scores for own in found])
    return ScoredBoxes(table.boxes, table.labels, table.image, table.counts, scores)


def check_best(model: BaseModel, found: ScoredBoxes, inputs: Tensor, data_samples: Sequence[Any]) -> None:
    """Check that the best of the candidate boxes of each preprocessed image is the best detection of the model.

    Costs one forward pass, and waits for the device.

    Raises:
        ValueError: if they differ: an attack on these candidates would miss what the model decides on.
    """
    best = detections_of(model, inputs, data_samples).best_scores()
    different = (best > 0) & ((best - found.best_scores()).abs() > _TIE)
    if different.any():
        raise UsageError(
            f'the best detection of {type(model).__name__} is not the best of its candidate boxes in '
            f"{int(different.sum())} of {len(different)} images: it decides by something else; use objective='cls', "
            "'loc' or 'cls+loc'"
        )


def f1_scores(found: BoxTable, objects: BoxTable) -> Tensor:
    """F1 of the detections of each image, ``(N,)``; NaN where there is no object.

    As :func:`mmadvdefense.tasks.sample_scores.box_f1`, for a whole batch: each object is found by at most one detection
    of its class with an IoU of at least 0.5, and as many are found as possible. Waits for the device.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    may_find = iou(found.boxes[:, None], objects.boxes) >= OVERLAP
    may_find &= (found.labels[:, None] == objects.labels) & (found.image[:, None] == objects.image)
    # For each detection the object that it finds, -1 for none.
    which = maximum_bipartite_matching(csr_matrix(may_find.cpu().numpy()), perm_type='column')
    finds = torch.from_numpy(np.asarray(which >= 0)).to(found.image.device)
    hits = found.per_image(finds.double())
    said, true = (torch.tensor(table.counts, device=hits.device) for table in (found, objects))
    return (2 * hits / (said + true).clamp(min=1)).where(true > 0, math.nan)
