"""Gradient attacks and ensembles on segmentors and detectors: moved images would have the wrong masks and boxes."""

import logging

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from torch import nn

from mmadvdefense import compat
from mmadvdefense.attacks import AttackBatch, AttackSource, CleanReference, EnsembleSource, Randomness, build_attack
from mmadvdefense.attacks.objectives import build_objective
from mmadvdefense.pixels import stack
from mmadvdefense.training.preparation import drop_pretrained_backbones

SIZE = (48, 64)
STEPS = dict(eps=8, step_size=2, steps=4)
CONFIGS = {
    'mifgsm': dict(type='MIFGSM', **STEPS),
    'difgsm': dict(type='DIFGSM', **STEPS),
    'difgsm_enlarged': dict(type='DIFGSM', diversity=1.0, diversity_scales=(0.8, 1.2), **STEPS),
    'tifgsm': dict(type='TIFGSM', kernel_size=5, **STEPS),
    'ti_di_mifgsm': dict(type='MIFGSM', diversity=0.7, kernel_size=5, random_start='uniform', **STEPS),
    'restarts': dict(type='PGD', restarts=2, **STEPS),
    'decaying': dict(type='BIM', eps=8, step_sizes=[4, 2, 1]),
    'apgd': dict(type='APGD', eps=8, steps=15),
}


def build(config, scope, seed):
    logging.getLogger('mmengine').setLevel('ERROR')  # it would list every parameter
    compat.apply_for_scope(scope)
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope(scope):
        torch.manual_seed(seed)
        model = MODELS.build(config)
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                # The hosts' own initialisation is so small that a step of an attack is lost in the loss's rounding.
                nn.init.kaiming_normal_(module.weight)
    return model


def build_segmentor(seed=0, size_divisor=None, num_classes=4):
    norm = dict(type='BN')
    backbone = dict(
        type='ResNetV1c',
        depth=18,
        base_channels=8,
        stem_channels=8,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(0, 1),
        norm_cfg=norm,
    )
    head = dict(
        type='FCNHead', in_channels=16, in_index=1, num_convs=1, channels=8, num_classes=num_classes, norm_cfg=norm
    )
    preprocessor = dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        seg_pad_val=255,
        size_divisor=size_divisor,
        test_cfg=dict(size_divisor=size_divisor) if size_divisor else None,
        **({} if size_divisor else dict(size=SIZE)),
    )
    config = dict(
        type='EncoderDecoder',
        data_preprocessor=preprocessor,
        backbone=backbone,
        decode_head=head,
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    pytest.importorskip('mmseg.models')
    return build(ConfigDict(config), 'mmseg', seed)


def build_detector(name, seed=0, **changes):
    pytest.importorskip('mmdet')
    from mmengine.hub import get_config

    model = get_config(f'mmdet::{name}').model
    drop_pretrained_backbones(model)
    config = Config(dict(model=model))
    config.merge_from_dict({f'model.{key}': value for key, value in {'bbox_head.num_classes': 3, **changes}.items()})
    return build(config.model, 'mmdet', seed)


def build_ssd(seed=0):
    return build_detector('ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py', seed)


def build_retinanet():
    thin = {'backbone.base_channels': 8, 'backbone.stem_channels': 8, 'neck.in_channels': [8, 16, 32, 64]}
    head = {'bbox_head.in_channels': 32, 'bbox_head.feat_channels': 32, 'bbox_head.stacked_convs': 1}
    name = 'retinanet/retinanet_r18_fpn_1x_coco.py'
    return build_detector(name, **thin, **head, **{'neck.out_channels': 32})


@pytest.fixture
def pictures(make_images):
    """Smooth, as photographs are: of noise, a resized picture would be another one."""
    return F.interpolate(make_images(2, 3, 6, 8), SIZE, mode='bilinear').round()


@pytest.fixture
def scenes(pictures):
    """Images with a class in each quarter, and void in a corner."""
    from mmseg.structures import SegDataSample

    mask = torch.zeros(SIZE, dtype=torch.long)
    mask[:24, 32:], mask[24:, :32], mask[24:, 32:] = 1, 2, 3
    mask[:4, :4] = 255
    samples = [
        SegDataSample(
            metainfo=dict(img_shape=SIZE, ori_shape=SIZE, img_path=f'{i}.png'),
            gt_sem_seg=PixelData(data=torch.where(mask == 255, mask, (mask + i) % 4)[None]),
        )
        for i in range(2)
    ]
    return pictures, samples


@pytest.fixture
def objects(pictures):
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes

    samples = []
    for boxes, labels in (([[4, 4, 40, 30], [20, 10, 60, 44]], [0, 2]), ([[10, 8, 50, 40]], [1])):
        sample = DetDataSample(metainfo=dict(img_shape=SIZE, ori_shape=SIZE, batch_input_shape=SIZE))
        sample.gt_instances = InstanceData(
            bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32)), labels=torch.tensor(labels)
        )
        sample.ignored_instances = InstanceData(
            bboxes=HorizontalBoxes(torch.zeros(0, 4)), labels=torch.zeros(0, dtype=torch.long)
        )
        samples.append(sample)
    return list(pictures), samples


def objective_values(config, source, images, samples):
    objective = build_objective(config)
    prepared = source.prepare_samples(images, samples)
    batch = AttackBatch(source, prepared, CleanReference(source, images), Randomness(0), *stack(images))
    with torch.no_grad(), source.undisturbed():
        return objective.values(images, batch)


def check(config, objective, source, images, samples):
    """Stays in the budget and raises the loss of each image; returns the images."""
    attack = build_attack({**config, 'objective': objective})
    result = attack.run(source, images, samples, Randomness([0, 1]))
    adversarial, clean = torch.stack(list(result.images)), torch.stack(list(images))
    assert type(result.images) is type(images)
    assert (adversarial - clean).abs().amax((1, 2, 3)).sub(8).clamp(min=0).max() < 1e-3
    assert (adversarial - clean).abs().max() > 4
    assert adversarial.min() >= 0 and adversarial.max() <= 255
    before = objective_values(objective, source, images, samples)
    after = objective_values(objective, source, result.images, samples)
    assert (after > before).all()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).sign() * 8
    noisy = (clean + noise).clamp(0, 255)
    by_noise = objective_values(objective, source, noisy if clean is images else list(noisy), samples) - before
    assert (after - before).sum() > 1.5 * by_noise.sum().abs()
    return result


@pytest.mark.parametrize('name', CONFIGS)
@pytest.mark.parametrize('objective', ['cross_entropy', 'task_loss'])
def test_segmentors(name, objective, scenes):
    check(CONFIGS[name], objective, AttackSource(build_segmentor()), *scenes)


@pytest.mark.parametrize('name', CONFIGS)
def test_detectors(name, objects):
    check(CONFIGS[name], 'cls+loc', AttackSource(build_ssd()), *objects)


def test_success_on_a_segmentor_cannot_be_told(scenes):
    attack = build_attack(dict(type='FirstSuccess', attacks=[CONFIGS['mifgsm']]))
    with pytest.raises(ValueError, match='one predicted class per image, which no model for segmentation has'):
        attack(AttackSource(build_segmentor()), *scenes, Randomness(0))


def test_restarts_of_a_detector_keep_the_higher_loss_of_each_image(objects, monkeypatch):
    from mmadvdefense.attacks import GradientAttack

    runs, ascend = [], GradientAttack._ascend
    monkeypatch.setattr(GradientAttack, '_ascend', lambda *args: runs.append(ascend(*args)) or runs[-1])
    source, (images, samples) = AttackSource(build_ssd()), objects
    result = check({**CONFIGS['restarts'], 'restarts': 3}, 'cls+loc', source, images, samples)
    values = torch.stack([objective_values('cls+loc', source, list(run), samples) for run in runs])
    kept = objective_values('cls+loc', source, result.images, samples)
    torch.testing.assert_close(kept, values.amax(0))
    # Four gradients and a look at the result, for each run.
    assert result.queries.tolist() == [3 * (4 + 1)] * 2


def test_all_restarts_of_a_detector_attack_the_same_part(objects, monkeypatch):
    """Classes or places, drawn once for the batch: their losses cannot be compared."""
    from mmadvdefense.tasks import DetectionTask

    parts, select = [], DetectionTask.select_losses
    monkeypatch.setattr(DetectionTask, 'select_losses', lambda *args: parts.append(args[-1]) or select(*args))
    attack = build_attack(dict(type='PGD', eps=8, step_size=4, steps=1, restarts=2, objective='cls_or_loc'))
    model = build_ssd()
    for wanted, part in enumerate(('cls', 'loc')):
        # The second run by itself would draw the other part.
        choices = (
            (seed, [r.choice(2) for r in (Randomness(seed), Randomness(seed).derive('run', 1))]) for seed in range(99)
        )
        seed = next(seed for seed, choice in choices if choice == [wanted, 1 - wanted])
        for source in (AttackSource(model), EnsembleSource([AttackSource(model)] * 2)):
            parts.clear()
            attack(source, *objects, Randomness(seed))
            assert set(parts) == {part}


# --- ensembles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('combine', ['logits', 'losses'])
@pytest.mark.parametrize('objective', ['cross_entropy', 'task_loss', 'kl'])
def test_equal_segmentors_are_one_segmentor(combine, objective, scenes):
    model = build_segmentor()
    attack = build_attack({**CONFIGS['ti_di_mifgsm'], 'objective': objective, 'diversity': 0})
    one = attack(AttackSource(model), *scenes, Randomness([0, 1]))
    both = attack(EnsembleSource([AttackSource(model)] * 2, combine), *scenes, Randomness([0, 1]))
    assert ((one - both).abs() < 1e-2).float().mean() > 0.99


def test_segmentors_that_pad_differently_share_the_image(scenes):
    """48 x 64 pixels are padded to 64 x 64 by one of two."""
    models = [build_segmentor(0), build_segmentor(1, size_divisor=32)]
    source = EnsembleSource([AttackSource(model.eval()) for model in models])
    images, samples = scenes
    prepared = source.prepare_samples(images, samples)
    assert [sample.gt_sem_seg.data.shape[-2:] for sample in prepared[0]] == [SIZE, (64, 64)]
    labels = source.task.labels(prepared, images.device)
    assert labels.shape == (2, *SIZE) and torch.equal(labels[0], samples[0].gt_sem_seg.data[0])
    mean, std = (getattr(models[0].data_preprocessor, name) for name in ('mean', 'std'))
    inputs = (images - mean) / std
    with torch.no_grad():
        padded = F.pad(inputs, (0, 0, 0, 16))
        by_hand = [
            model.encode_decode(x, [dict(img_shape=x.shape[-2:])] * 2) for model, x in zip(models, (inputs, padded))
        ]
        torch.testing.assert_close(source.logits(images), (by_hand[0] + by_hand[1][..., :48, :]) / 2)
    for combine in ('logits', 'losses'):
        ensemble = EnsembleSource(source.sources, combine)
        check(CONFIGS['mifgsm'], 'task_loss', ensemble, images, samples)
        config = dict(type='BIM', targeted='least_likely', **STEPS)
        for objective in ('cross_entropy', 'task_loss'):
            adversarial = build_attack({**config, 'objective': objective})(ensemble, images, samples, Randomness(0))
            with torch.no_grad():
                clean, after = (source.task.logits(source.preprocess(x)) for x in (images, adversarial))
            target = clean.scatter(1, labels.where(labels < 4, 0)[:, None], torch.inf).argmin(1).where(labels < 4, 255)
            closer = [F.cross_entropy(x, target, ignore_index=255) for x in (clean, after)]
            assert closer[1] < closer[0] - 0.1


@pytest.mark.parametrize('combine, objective', [('logits', 'cls'), ('losses', 'cls+loc'), ('logits', 'task_loss')])
def test_detectors_of_two_architectures(combine, objective, objects):
    models = [build_ssd(), build_retinanet()]
    source = EnsembleSource([AttackSource(model) for model in models], combine)
    images, samples = objects
    result = check(CONFIGS['mifgsm'], objective, source, images, samples)
    assert result.queries.tolist() == [4, 4]
    each = [objective_values(objective, AttackSource(model), images, samples) for model in models]
    torch.testing.assert_close(objective_values(objective, source, images, samples), sum(each) / 2)


def test_objectives_of_another_task_are_refused_before_any_image():
    detector, segmentor = AttackSource(build_ssd()), AttackSource(build_segmentor())
    for objective in ('cross_entropy', 'margin', 'kl'):
        attack = build_attack(dict(type='BIM', objective=objective, **STEPS))
        attack.check_source(segmentor)
        for source in (detector, EnsembleSource([detector, detector])):
            with pytest.raises(ValueError, match='BIM: a detector has no one set of class scores; use an objective'):
                attack.check_source(source)
    for objective in ('cls', 'loc', 'cls+loc', 'cls_or_loc'):
        attack = build_attack(dict(type='BIM', objective=objective, **STEPS))
        attack.check_source(detector)
        with pytest.raises(ValueError, match='BIM: the losses of a segmentation model have no part'):
            attack.check_source(segmentor)
    for source in (detector, segmentor):
        build_attack(dict(type='PGD', objective='task_loss', **STEPS)).check_source(source)


def test_a_detector_without_the_wanted_loss_is_named(objects):
    source = EnsembleSource([AttackSource(build_ssd())] * 2)
    with pytest.raises(ValueError, match='SingleStageDetector has no loss of the group .*mask.*loss_cls'):
        source.task.select_losses({'0.loss_cls': torch.ones(1), '1.loss_cls': torch.ones(1)}, 'mask')
