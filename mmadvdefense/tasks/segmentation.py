"""Semantic segmentation (MMSegmentation's encoder-decoders)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import Pixels
from .base import Task
from .frames import input_matrix
from .moving import move_map
from .sample_scores import NotScored, SampleScores, mean_iou, pixel_counts
from .taps import FeatureTap, last_layer
from .thresholds import threshold_logit, two_class_scores

# The label of pixels that belong to no class, as the class terms see it.
NO_CLASS = -100
# The parts of a segmentor that features pass through.
_PARTS = ('backbone', 'neck', 'decode_head', 'auxiliary_head')


class SegmentationTask(Task):
    """One label per pixel; features are the input of the last head's ``conv_seg``, or the backbone's if it has none."""

    name = 'segmentation'
    noun = 'segmentor'
    has_pixel_classes = True

    def __init__(self, model: BaseModel):
        super().__init__(model)
        heads = getattr(model, 'decode_head', None)
        head = heads[-1] if isinstance(heads, nn.ModuleList) else heads
        losses = getattr(head, 'loss_decode', None)
        terms = losses if isinstance(losses, nn.ModuleList) else [losses]
        # The two scores that are made of one channel have its sigmoid as their softmax.
        one_channel = getattr(head, 'out_channels', None) == 1
        self.has_binary_scores = not one_channel and all(getattr(term, 'use_sigmoid', False) for term in terms)

    # --- the model ------------------------------------------------------------------------------------------

    def logits(self, inputs: Tensor) -> Tensor:
        """``(N, K, H, W)`` at the input's size, by whole or sliding inference as ``test_cfg`` says.

        For a binary head with one channel ``z`` and a threshold ``t`` on its sigmoid these are the scores 0 and
        ``z - log(t / (1 - t))``: the second is the larger one where the host predicts 1.
        """
        return self._class_scores(self.model.inference(inputs, self._metas(inputs)))

    def reference(self, inputs: Tensor) -> Tensor:
        """In one piece, as the training loss sees the image, even for models with sliding inference in tests."""
        # Not mode='tensor', which does not work for the host's heads of points and of masks.
        return self._class_scores(self.model.encode_decode(inputs, self._metas(inputs)))

    @property
    def reference_has_logits(self) -> bool:
        return self.model.test_cfg.get('mode') != 'slide'

    def decisions(self, inputs: Tensor) -> Tensor:
        predictions = self.model.forward(inputs, None, mode='predict')
        return torch.stack([sample.pred_sem_seg.data[0] for sample in predictions]).long()

    def _class_scores(self, output: Tensor) -> Tensor:
        if output.shape[1] > 1:
            return output
        head = self._decode_head
        return two_class_scores(output.squeeze(1), threshold_logit(head.threshold, type(head).__name__))

    @staticmethod
    def _metas(inputs: Tensor) -> list[dict]:
        size = inputs.shape[-2:]
        meta = dict(ori_shape=tuple(size), img_shape=size, pad_shape=tuple(size), padding_size=[0, 0, 0, 0])
        return [dict(meta) for _ in inputs]

    def preprocess(self, preprocessor: nn.Module, images: Pixels, training: bool = False) -> Tensor:
        from mmseg.structures import SegDataSample

        # The host notes its padding in the samples, so it needs some.
        data = {'inputs': images, 'data_samples': [SegDataSample() for _ in images]}
        return preprocessor(data, training)['inputs']

    def loss_modules(self) -> list[nn.Module]:
        """The training flag of backbones and heads makes them return more for the losses (PIDNet, DDRNet, K-Net).

        The layers inside keep their flags: normalisation, dropout, and what would update itself (EMANet's bases).
        """
        parts = [getattr(self.model, name, None) for name in _PARTS]
        lists = [part if isinstance(part, nn.ModuleList) else [part] for part in parts if part is not None]
        return [module for modules in lists for module in modules]

    # --- ground truth ---------------------------------------------------------------------------------------

    def prepare_samples(
        self, preprocessor: nn.Module, images: Pixels, data_samples: Sequence, training: bool = False
    ) -> list:
        copies = copy.deepcopy(list(data_samples))
        with torch.no_grad():
            if training:
                return preprocessor({'inputs': images, 'data_samples': copies}, training)['data_samples']
            height, width = self.preprocess(preprocessor, images).shape[-2:]
        samples = [sample.to(preprocessor.device) for sample in copies]
        for sample in samples:
            if 'gt_sem_seg' not in sample:
                continue
            # In tests the host pads images but not their labels.
            mask = sample.gt_sem_seg.data
            padding = (0, width - mask.shape[-1], 0, height - mask.shape[-2])
            del sample.gt_sem_seg.data
            sample.gt_sem_seg.data = F.pad(mask, padding, value=self.ignore_index)
        return samples

    def in_input_frame(self, data_samples: Sequence, annotations_in_input_frame: bool) -> list:
        """Masks in the frame of the input, by nearest neighbour, ignored where the pipeline has padded the image.

        Raises:
            ValueError: from :meth:`check_samples` and :func:`~mmadvdefense.tasks.frames.input_matrix`.
        """
        self.check_samples(data_samples)
        moved = []
        for sample in copy.deepcopy(list(data_samples)):
            size = tuple(sample.img_shape[:2])
            if 'gt_sem_seg' not in sample:
                moved.append(sample)
                continue
            mask = sample.gt_sem_seg.data
            # A mask of another size than the image is in another frame, whatever is known about the pipeline.
            if not annotations_in_input_frame or tuple(mask.shape[-2:]) != size:
                matrix = input_matrix(sample, mask.shape[-2:])
                del sample.gt_sem_seg.data
                sample.gt_sem_seg.data = move_map(mask, matrix, size, fill=self.ignore_index)
            moved.append(sample)
        return moved

    def check_samples(self, data_samples: Sequence) -> None:
        for sample in data_samples:
            if 'gt_sem_seg' not in sample:
                continue
            mask = sample.gt_sem_seg.data
            wrong = mask[(mask >= self.num_classes) & (mask != self.ignore_index)]
            if len(wrong):
                name = sample.get('seg_map_path') or sample.get('img_path')
                raise UsageError(
                    f'{name} has label {int(wrong.max())}, but the model predicts {self.num_classes} '
                    f'classes and ignores {self.ignore_index}; check reduce_zero_label'
                )

    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        """``(N, H, W)`` class indices, ``ignore_index`` where there is none."""
        self._check_annotated(data_samples)
        return torch.stack([sample.gt_sem_seg.data.squeeze(0) for sample in data_samples]).long().to(device)

    def predicted(self, logits: Tensor, data_samples: Sequence) -> list[Tensor]:
        """At the size of each sample's mask, as preprocessors pad below and on the right. Ignored pixels stay so."""
        self._check_annotated(data_samples)
        masks = [sample.gt_sem_seg.data[0] for sample in data_samples]
        classes = self.target_classes(logits)
        if classes is not None:
            logits = logits.where(classes, -torch.inf)
        return [
            own[: mask.shape[0], : mask.shape[1]].to(mask).where(mask != self.ignore_index, mask)
            for own, mask in zip(logits.argmax(1), masks)
        ]

    def relabel(self, data_samples: Sequence, target: Tensor) -> list:
        return self._with_masks(data_samples, target.unbind())

    def relabel_as_predicted(self, data_samples: Sequence, logits: Tensor) -> list:
        return self._with_masks(data_samples, self.predicted(logits, data_samples))

    @staticmethod
    def _with_masks(data_samples: Sequence, masks: Sequence[Tensor]) -> list:
        relabelled = copy.deepcopy(list(data_samples))
        for sample, mask in zip(relabelled, masks):
            del sample.gt_sem_seg.data
            sample.gt_sem_seg.data = mask[None]
        return relabelled

    def losses(self, inputs: Tensor, data_samples: Sequence) -> dict[str, Tensor]:
        self._check_annotated(data_samples)
        return super().losses(inputs, data_samples)

    @staticmethod
    def _check_annotated(data_samples: Sequence) -> None:
        for sample in data_samples:
            if 'gt_sem_seg' not in sample:
                name = sample.get('img_path') or 'an image of the batch'
                raise UsageError(f'{name} has no ground truth (gt_sem_seg); the pipeline needs LoadAnnotations')

    def ground_truth(self, data_sample: Any) -> list:
        return [data_sample.gt_sem_seg.data] if 'gt_sem_seg' in data_sample else []

    def score_samples(
        self, predictions: Sequence, annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> SampleScores:
        # The host's metric would count pixels with impossible labels as mistakes.
        self.check_samples(predictions)
        if any('pred_sem_seg' not in sample for sample in predictions):
            raise NotScored(f'{type(self.model).__name__} predicts no class per pixel, so its images are not scored')
        nothing = torch.zeros(0, dtype=torch.long)
        pairs = [
            (sample.gt_sem_seg.data.flatten().cpu(), sample.pred_sem_seg.data.flatten().cpu())
            if 'gt_sem_seg' in sample
            else (nothing, nothing)
            for sample in predictions
        ]
        true, said = zip(*pairs)
        image = torch.arange(len(true)).repeat_interleave(torch.tensor([len(mask) for mask in true]))
        labels, predicted = torch.cat(true).long(), torch.cat(said).long()
        known = labels != self.ignore_index
        counts = pixel_counts(predicted[known], labels[known], image[known], len(true), self.num_classes)
        return SampleScores(mean_iou(counts), counts=counts)

    def fit(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self._resize(logits, labels.shape[-2:])

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = self.fit(logits, target)
        return F.cross_entropy(logits, target, reduction='none', ignore_index=self.ignore_index).flatten(1).sum(1)

    # --- features -------------------------------------------------------------------------------------------

    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        if layer not in (None, 'pre_logits', 'logits'):
            return FeatureTap(self.model, layer)
        last = last_layer(self.model, self._decode_head_name, 'conv_seg')
        if last is None:
            if layer == 'logits':
                raise UsageError(f'{type(self._decode_head).__name__} has no conv_seg; name a layer instead of logits')
            return FeatureTap(self.model, 'backbone')
        return FeatureTap(self.model, last, 'output' if layer == 'logits' else 'input')

    def class_features(self, features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
        """One vector per position of the feature map, ``(N h w, L)``; its label is ``NO_CLASS`` where it is ignored."""
        labels = self._labels_at(data_samples, features.shape[-2:], features.device)
        vectors = features.permute(0, 2, 3, 1).flatten(0, 2)
        return vectors, labels.where(labels != self.ignore_index, NO_CLASS).flatten()

    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        labels = self._labels_at(data_samples, size, device)
        known = labels != self.ignore_index
        one_hot = F.one_hot(labels.where(known, 0), self.num_classes) * known.unsqueeze(-1)
        return one_hot.permute(0, 3, 1, 2)

    def _labels_at(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        labels = self.labels(data_samples, device)
        return F.interpolate(labels[:, None].float(), tuple(size), mode='nearest')[:, 0].long()

    # --- facts ----------------------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        head = self._decode_head
        return 2 if getattr(head, 'out_channels', None) == 1 else head.num_classes

    @property
    def ignore_index(self) -> int:
        # Heads with a loss on masks have no such index.
        ignored = self._decode_head.ignore_index
        return NO_CLASS if ignored is None else ignored

    def target_classes(self, logits: Tensor) -> Optional[Tensor]:
        """All but the ignored class, if the ignored label is the index of a class."""
        number = logits.shape[1]
        if not 0 <= self.ignore_index < number:
            return None
        return (torch.arange(number, device=logits.device) != self.ignore_index).view(1, -1, 1, 1)

    @property
    def _decode_head_name(self) -> str:
        head = self.model.decode_head
        return f'decode_head.{len(head) - 1}' if isinstance(head, nn.ModuleList) else 'decode_head'

    @property
    def _decode_head(self) -> BaseModule:
        return self.model.get_submodule(self._decode_head_name)

    def _resize(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        if tuple(logits.shape[-2:]) == tuple(size):
            return logits
        align_corners = getattr(self._decode_head, 'align_corners', False)
        return F.interpolate(logits, tuple(size), mode='bilinear', align_corners=align_corners)
