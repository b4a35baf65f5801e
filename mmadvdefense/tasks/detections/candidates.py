"""The boxes that a detector considers before it drops those with low scores and suppresses overlapping ones.

They come from the host's own decoding, with its threshold lowered and its suppression left out, but with gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional, Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor

from .tables import ScoredBoxes, table_of

# Class scores of one level and image of which the largest are considered; hosts consider 1000.
_PER_LEVEL = 10_000
_KEEP_ALL = dict(score_thr=-1.0, conf_thr=-1.0, min_bbox_size=-1, nms_pre=_PER_LEVEL)


@dataclass(frozen=True)
class Candidates(ScoredBoxes):
    """A table with one row for each box and class, and their scores with gradients.

    Attributes:
        place: ``(P,)``, the rows of one place (a location, proposal or query) have one number, below
            ``num_places``; None if the host does not tell.
        num_places: the number of places, if the host tells.
    """

    place: Optional[Tensor] = None
    num_places: int = 0

    def places(self) -> tuple[Tensor, int]:
        """The number of each row's place, ``(P,)``, and how many places there are; may wait for the device.

        A host that does not tell predicts one box for all classes, so that rows with one box are of one place.
        """
        if self.place is not None:
            return self.place, self.num_places
        rows = torch.cat([self.image[:, None].to(self.boxes.dtype), self.boxes.detach()], 1)
        boxes, place = torch.unique(rows, dim=0, return_inverse=True)
        return place, len(boxes)


Reader = Callable[[BaseModel, Tensor, Sequence[Any]], Candidates]


def reader_of(model: BaseModel) -> Optional[Reader]:
    """How the candidates of a detector are read; None if it has none, or none with class scores.

    Args:
        model: of MMDetection.
    """
    from mmdet.models.dense_heads import YOLOV3Head, YOLOXHead
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
    from mmdet.models.detectors import (
        GLIP,
        RPN,
        DetectionTransformer,
        GroundingDINO,
        SingleStageDetector,
        TwoStageDetector,
    )

    if isinstance(model, (RPN, GLIP, GroundingDINO)):
        # Their scores are of proposals or words, not of classes.
        return None
    if isinstance(model, TwoStageDetector):
        whole = getattr(model, 'rpn_head', None) is not None and getattr(model, 'roi_head', None) is not None
        return _of_proposals if whole and hasattr(model.roi_head, 'predict_bbox') else None
    if isinstance(model, DetectionTransformer):
        return _of_queries
    if not isinstance(model, SingleStageDetector):
        return None
    head = model.bbox_head
    if isinstance(head, YOLOXHead):
        return _of_yolox
    if isinstance(head, YOLOV3Head):
        return _of_yolov3
    own = type(head).predict_by_feat is BaseDenseHead.predict_by_feat
    return _of_locations if own and isinstance(head, BaseDenseHead) else None


def score_threshold(model: BaseModel) -> Optional[float]:
    """The score that a box needs to reach non-maximum suppression, in 0-1; None if the detector has no threshold."""
    for name in ('roi_head', 'bbox_head'):
        settings = getattr(getattr(model, name, None), 'test_cfg', None)
        if settings is not None and 'score_thr' in settings:
            return float(settings['score_thr'])
    return None


def _of_locations(model: BaseModel, inputs: Tensor, samples: Sequence[Any]) -> Candidates:
    """Dense heads: as their ``predict_by_feat``, which cuts gradients off."""
    head = model.bbox_head
    outputs = head(model.extract_feat(inputs))
    settings = _settings(head.test_cfg)
    priors = head.prior_generator.grid_priors(
        [scores.shape[-2:] for scores in outputs[0]], dtype=outputs[0][0].dtype, device=inputs.device
    )
    found = []
    for index, sample in enumerate(samples):
        own = [[level[index] for level in levels] for levels in outputs]
        found.append(
            head._predict_by_feat_single(
                cls_score_list=own[0],
                bbox_pred_list=own[1],
                score_factor_list=own[2] if len(own) > 2 else [None] * len(own[0]),
                mlvl_priors=priors,
                img_meta=sample.metainfo,
                cfg=settings,
                rescale=False,
                with_nms=False,
            )
        )
    return _from_instances(found)


def _of_yolov3(model: BaseModel, inputs: Tensor, samples: Sequence[Any]) -> Candidates:
    head = model.bbox_head
    outputs = head(model.extract_feat(inputs))
    metas = [sample.metainfo for sample in samples]
    settings = _settings(head.test_cfg)
    return _from_instances(
        head.predict_by_feat(*outputs, batch_img_metas=metas, cfg=settings, rescale=False, with_nms=False)
    )


def _of_yolox(model: BaseModel, inputs: Tensor, samples: Sequence[Any]) -> Candidates:
    """YOLOX predicts the best class of each location alone; here are all."""
    head = model.bbox_head
    outputs = head(model.extract_feat(inputs))
    scores, deltas, objects = (
        torch.cat([level.permute(0, 2, 3, 1).reshape(len(inputs), -1, width) for level in levels], 1)
        for levels, width in zip(outputs, (head.cls_out_channels, 4, 1))
    )
    priors = head.prior_generator.grid_priors(
        [level.shape[-2:] for level in outputs[0]], dtype=scores.dtype, device=scores.device, with_stride=True
    )
    return _from_scores(head._bbox_decode(torch.cat(priors), deltas), scores.sigmoid() * objects.sigmoid())


def _of_proposals(model: BaseModel, inputs: Tensor, samples: Sequence[Any]) -> Candidates:
    features = model.extract_feat(inputs)
    proposals = model.rpn_head.predict(features, samples, rescale=False)
    metas = [sample.metainfo for sample in samples]
    # Without settings the host returns the scores of all classes for each proposal.
    found = model.roi_head.predict_bbox(features, metas, proposals, rcnn_test_cfg=None, rescale=False)
    if 'labels' in found[0] and found[0].scores.ndim == 1:
        return _from_instances(found)
    classes = found[0].scores.shape[1] - 1
    boxes = [one.bboxes.view(len(one.bboxes), -1, 4).expand(-1, classes, 4) for one in found]
    scores = [one.scores[:, :classes] for one in found]
    counts = [len(own) for own in scores]
    label = torch.arange(classes, device=inputs.device)
    table = table_of([own.reshape(-1, 4) for own in boxes], [label.repeat(number) for number in counts])
    flat = torch.cat([own.flatten() for own in scores])
    place = torch.arange(sum(counts), device=inputs.device).repeat_interleave(classes)
    return Candidates(table.boxes, table.labels, table.image, table.counts, flat, place, sum(counts))


def _of_queries(model: BaseModel, inputs: Tensor, samples: Sequence[Any]) -> Candidates:
    """Transformers: the outputs of the last layer of the decoder."""
    layer_scores, layer_boxes = model(inputs, samples, mode='tensor')[:2]
    scores, boxes = layer_scores[-1], layer_boxes[-1]
    scores = scores.sigmoid() if model.bbox_head.loss_cls.use_sigmoid else scores.softmax(-1)[..., :-1]
    height, width = (
        torch.tensor([sample.metainfo['img_shape'][side] for sample in samples], device=boxes.device)[:, None]
        for side in (0, 1)
    )
    x, y, w, h = boxes.unbind(-1)
    corners = torch.stack([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], -1)
    return _from_scores(corners, scores)


def _settings(own: Any) -> Any:
    return type(own)({**own, **_KEEP_ALL})


def _from_instances(found: Sequence[Any]) -> Candidates:
    table = table_of([one.bboxes for one in found], [one.labels for one in found])
    scores = torch.cat([one.scores for one in found])
    return Candidates(table.boxes, table.labels, table.image, table.counts, scores)


def _from_scores(boxes: Tensor, scores: Tensor) -> Candidates:
    """From one box for all classes: ``(N, M, 4)`` and ``(N, M, K)``."""
    images, places, classes = scores.shape
    rows = torch.arange(scores.numel(), device=scores.device)
    return Candidates(
        boxes=boxes.unsqueeze(2).expand(-1, -1, classes, -1).reshape(-1, 4),
        labels=rows % classes,
        image=rows // (places * classes),
        counts=(places * classes,) * images,
        scores=scores.flatten(),
        place=rows // classes,
        num_places=images * places,
    )
