from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from torch import nn

from mmadvdefense.attacks import AttackBatch, AttackSource, CleanReference, Randomness
from mmadvdefense.pixels import stack

SIZE = (16, 20)
VOID = 255


class TinyBackbone(nn.Module):
    """Two convolutions; dropout, so that a forgotten ``eval()`` shows."""

    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1), nn.Tanh(), nn.Dropout(0.3), nn.Conv2d(12, channels, 3, padding=1), nn.Tanh()
        )

    def forward(self, x):
        return (self.layers(x),)


def build_segmentor(num_classes=4, seed=0, **head):
    """An FCN whose prediction is a mix of its classes; ``head`` are further settings of its decode head."""
    pytest.importorskip('mmseg.models')
    settings = dict(type='FCNHead', in_channels=8, channels=8, num_convs=0, concat_input=False, num_classes=num_classes)
    backbone = dict(type='ResNet', depth=18, base_channels=4, num_stages=1, strides=(1,), dilations=(1,))
    backbone['out_indices'] = (0,)
    config = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[60.0] * 3, seg_pad_val=VOID),
        backbone=backbone,
        decode_head={**settings, **head},
        test_cfg=dict(mode='whole'),
    )
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmseg'):
        torch.manual_seed(seed)
        model = MODELS.build(ConfigDict(config))
        model.backbone = TinyBackbone(8)
        nn.init.normal_(model.decode_head.conv_seg.weight, std=0.8)
    return model


@pytest.fixture
def make_segmentor():
    """:func:`build_segmentor`."""
    return build_segmentor


@pytest.fixture
def make_scenes():
    """Images, and samples with a model's own prediction as ground truth, apart from a corner that is void."""

    def make(model, count=3):
        from mmseg.structures import SegDataSample

        coarse = torch.rand(count, 3, 4, 5, generator=torch.Generator().manual_seed(3)) * 255
        images = F.interpolate(coarse, SIZE, mode='bilinear').round()
        source = AttackSource(model)
        with torch.no_grad(), source.undisturbed():
            masks = source.logits(images).argmax(1)
        masks[:, :4, :4] = VOID
        meta = dict(img_shape=SIZE, ori_shape=SIZE)
        samples = [
            SegDataSample(metainfo=dict(meta, img_path=f'{index}.png'), gt_sem_seg=PixelData(data=mask[None]))
            for index, mask in enumerate(masks)
        ]
        return images, samples

    return make


@pytest.fixture
def segmentor(make_segmentor, make_scenes):
    """A segmentor of four classes in train mode (left so by its user), and images of which it gets all pixels right."""
    model = make_segmentor()
    images, samples = make_scenes(model)
    masks = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])

    def logits(images):
        """The model as its authors would run it, without anything of the package."""
        training = model.training
        model.eval()
        with torch.no_grad():
            output = model.decode_head(model.backbone((images - 127.5) / 60))
        model.train(training)
        return output

    def accuracy(images):
        """The share of labelled pixels that are right, ``(N,)``."""
        known = masks != VOID
        right = (logits(images).argmax(1) == masks) & known
        return right.flatten(1).sum(1) / known.flatten(1).sum(1)

    return SimpleNamespace(
        model=model,
        source=AttackSource(model),
        images=images,
        samples=samples,
        masks=masks,
        logits=logits,
        accuracy=accuracy,
    )


@pytest.fixture
def make_batch():
    """A batch of a source under attack."""

    def make(source, images, samples, target=None):
        prepared = source.prepare_samples(images, samples)
        reference = CleanReference(source, images)
        return AttackBatch(source, prepared, reference, Randomness(0), *stack(images), target=target)

    return make
