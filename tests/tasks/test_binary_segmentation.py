"""Segmentors that tell two classes apart by one channel and a threshold: what they decide on is what is attacked."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.tasks import task_of

pytest.importorskip('mmseg')

SIZE = (24, 32)


def build(threshold=0.3, mode='whole', ignore_index=255, **head):
    """A thin FCN with one channel, whose scores lie around its threshold."""
    import mmseg.models  # noqa: F401

    settings = {'whole': dict(mode='whole'), 'slide': dict(mode='slide', crop_size=(16, 16), stride=(8, 8))}
    config = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True, pad_val=0, seg_pad_val=255
        ),
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            base_channels=8,
            stem_channels=8,
            num_stages=1,
            strides=(1,),
            dilations=(1,),
            out_indices=(0,),
            norm_cfg=dict(type='BN'),
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=8,
            in_index=0,
            channels=8,
            num_convs=1,
            num_classes=2,
            out_channels=1,
            threshold=threshold,
            ignore_index=ignore_index,
            norm_cfg=dict(type='BN'),
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
        )
        | head,
        train_cfg=dict(),
        test_cfg=settings[mode],
    )
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmseg'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(config)).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        images = torch.randint(256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()
        channel = model.inference((images.flip(1) - 120) / 60, task_of(model)._metas(images))
        model.decode_head.conv_seg.bias -= channel.median() - math.log(threshold / (1 - threshold))
    return model


@pytest.fixture
def batch():
    from mmseg.structures import SegDataSample

    images = torch.randint(256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()
    mask = torch.zeros(SIZE, dtype=torch.long)
    mask[:, 16:] = 1
    mask[:4, :4] = 255
    meta = dict(img_shape=SIZE, ori_shape=SIZE)
    samples = [SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=own[None].clone())) for own in (mask, mask)]
    return images, samples


def host_says(model, images):
    """The host's own test, without anything of the package."""
    data = model.data_preprocessor(dict(inputs=list(images), data_samples=None), False)
    with torch.no_grad():
        return torch.stack([result.pred_sem_seg.data[0] for result in model.predict(data['inputs'])]).long()


@pytest.mark.parametrize('mode', ['whole', 'slide'])
@pytest.mark.parametrize('threshold', [0.1, 0.3, 0.5])
def test_the_larger_score_is_what_the_host_says(threshold, mode, batch):
    model = build(threshold, mode)
    source, (images, _) = AttackSource(model), batch
    with torch.no_grad():
        scores = source.logits(images)
        channel = model.inference(source.preprocess(images), source.task._metas(images))
    assert scores.shape == (2, 2, *SIZE)
    assert not scores[:, 0].any()
    torch.testing.assert_close(scores[:, 1], channel[:, 0] - math.log(threshold / (1 - threshold)))
    said = host_says(model, images)
    assert torch.equal(scores.argmax(1), said) and 0 < said.double().mean() < 1


def test_cross_entropy_is_the_binary_one_by_hand(batch):
    """With a threshold of one half it is the host's own: softplus(-z) where the truth is 1, else softplus(z)."""
    source, (images, samples) = AttackSource(build(0.5)), batch
    task = source.task
    assert (task.num_classes, task.ignore_index) == (2, 255)
    with torch.no_grad():
        labels = task.labels(samples, 'cpu')
        scores = source.logits(images)
    z, known = scores[:, 1], labels != 255
    expected = (F.softplus(z * (1 - 2 * labels.where(known, 0))) * known).sum((1, 2))
    torch.testing.assert_close(task.cross_entropy(scores, labels), expected)
    host = source.losses(images, source.prepare_samples(images, samples))['decode.loss_ce']
    torch.testing.assert_close(host, expected.sum() / labels.numel())


@pytest.mark.parametrize('objective', ['cross_entropy', 'margin', 'kl', 'task_loss'])
def test_every_objective_changes_what_the_host_says(objective, batch):
    model, (images, samples) = build(0.3), batch
    said = host_says(model, images)
    # Away from what the model says itself, so that every change counts.
    for sample, own in zip(samples, said):
        del sample.gt_sem_seg.data
        sample.gt_sem_seg.data = own[None]
    config = dict(type='PGD', eps=8, step_size=2, steps=5, random_start='uniform', objective=objective)
    adversarial = build_attack(config)(AttackSource(model), images, samples, Randomness([0, 1]))
    changed = (host_says(model, adversarial) != said).double().mean()
    assert (adversarial - images).abs().max() <= 8 + 1e-3
    assert changed > 0.15, f'{changed:.3f} of the pixels'


@pytest.mark.parametrize(
    'attack',
    [
        dict(type='BIM', eps=8, step_size=2, steps=5, targeted='least_likely'),
        dict(type='DeepFool', eps=8, steps=5),
        dict(type='ALMAProx', eps=8, steps=5, learning_rate=0.01),
        dict(type='DAG', eps=8, steps=5),
        dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=3),
    ],
)
def test_other_attacks_run(attack, batch):
    source, (images, samples) = AttackSource(build()), batch
    adversarial = build_attack(attack)(source, images, samples, Randomness([0, 1]))
    assert adversarial.isfinite().all() and (adversarial != images).any()


@pytest.mark.parametrize('threshold', [0.0, 1.0])
def test_a_threshold_that_is_never_crossed_is_refused(threshold, batch):
    model = build()
    model.decode_head.threshold = threshold
    with pytest.raises(ValueError, match=rf'FCNHead compares a sigmoid with the threshold {threshold}.*never changes'):
        AttackSource(model).logits(batch[0])


def test_one_class_in_one_channel_makes_two_outcomes():
    """The host lets a head of one class say 0 or 1 as well."""
    assert task_of(build(num_classes=1)).num_classes == 2


def test_a_channel_a_class_stays_as_it_is(batch):
    """With a sigmoid a class the host still takes the largest."""
    model = build(num_classes=3, out_channels=3)
    source, (images, _) = AttackSource(model), batch
    with torch.no_grad():
        scores = source.logits(images)
    assert scores.shape[1] == 3 and torch.equal(scores.argmax(1), host_says(model, images))
