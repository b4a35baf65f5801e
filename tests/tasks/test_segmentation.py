import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from mmengine.structures import PixelData

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.attacks import AttackSource, CleanReference, Randomness, build_attack
from mmadvdefense.losses import ClassAlignmentLoss
from mmadvdefense.purifiers import STEP
from mmadvdefense.tasks import SegmentationTask, annotations_in_input_frame, task_of

pytest.importorskip('mmseg')

NUM_CLASSES = 4
SLIDE = dict(mode='slide', crop_size=(16, 16), stride=(8, 8))


def build_fcn(test_cfg=None, size=None, preprocessor='SegDataPreProcessor', **head):
    """A thin FCN with an auxiliary head; 4 classes, an output at an eighth of the image's size."""
    norm = dict(type='BN')
    head = {'type': 'FCNHead', 'num_convs': 1, 'channels': 8, 'num_classes': NUM_CLASSES, 'norm_cfg': norm, **head}
    return build_segmentor(
        decode_head=dict(in_channels=16, in_index=1, **head),
        auxiliary_head=dict(in_channels=8, in_index=0, **{**head, 'type': 'FCNHead'}),
        test_cfg=test_cfg or dict(mode='whole'),
        size=size,
        preprocessor=preprocessor,
    )


def build_segmentor(size=None, preprocessor='SegDataPreProcessor', **parts):
    """Random weights and statistics, on a thin ResNet with outputs at a fourth and an eighth of the image's size."""
    config = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type=preprocessor,
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            pad_val=0,
            seg_pad_val=255,
            size=size,
        ),
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            base_channels=8,
            stem_channels=8,
            num_stages=2,
            strides=(1, 2),
            dilations=(1, 1),
            out_indices=(0, 1),
            norm_cfg=dict(type='BN'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    config.update(parts)
    import mmseg.models  # noqa: F401

    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmseg'):
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(config))
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return model


def make_sample(mask, **meta):
    from mmseg.structures import SegDataSample

    mask = torch.as_tensor(mask)
    meta = {'img_shape': tuple(mask.shape), 'ori_shape': tuple(mask.shape), **meta}
    return SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=mask[None]))


@pytest.fixture(scope='module')
def model():
    return build_fcn().eval()


@pytest.fixture
def task(model):
    return task_of(model)


@pytest.fixture
def batch():
    """Two images of 24 x 32 pixels with a class in each quarter and an ignored corner."""
    images = torch.randint(256, (2, 3, 24, 32), generator=torch.Generator().manual_seed(0)).float()
    mask = torch.zeros(24, 32, dtype=torch.long)
    mask[:12, 16:], mask[12:, :16], mask[12:, 16:] = 1, 2, 3
    mask[:4, :4] = 255
    samples = [make_sample(mask, img_path='0.png'), make_sample((mask + 1) % 4, img_path='1.png')]
    return images, samples


def test_the_task_and_its_facts(task):
    assert isinstance(task, SegmentationTask) and task.name == 'segmentation'
    assert (task.num_classes, task.ignore_index) == (NUM_CLASSES, 255)


# --- features of each class -----------------------------------------------------------------------------------------


@pytest.fixture
def coordinates():
    """A map of 2 x 3 cells that hold their row and column."""
    row, column = torch.meshgrid(torch.arange(2.0), torch.arange(3.0), indexing='ij')
    return torch.stack([row, column])[None]


def test_cells_take_the_label_of_the_nearest_pixel(task, coordinates):
    """Nearest down-sampling by 2: rows 0 and 2, columns 0, 2 and 4 of the mask."""
    mask = [
        [0, 9, 1, 9, 255, 9],
        [9, 9, 9, 9, 9, 9],
        [2, 9, 3, 9, 0, 9],
        [9, 9, 9, 9, 9, 9],
    ]
    vectors, labels = task.class_features(coordinates, [make_sample(mask)])
    assert vectors.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert labels.tolist() == [0, 1, -100, 2, 3, 0]


def test_class_terms_by_hand(task, coordinates):
    """Centres: class 0 at (0, 0.5), class 1 at (1, 1); the two ignored cells count nowhere."""
    mask = [[0, 0, 255], [1, 255, 1]]
    vectors, labels = task.class_features(coordinates, [make_sample(mask)])
    terms = ClassAlignmentLoss(margin=5.0, num_classes=NUM_CLASSES)(vectors, vectors + 1, labels)
    # mean L1: centres moved by 1 for 2 classes; 5 - (1 + 0.5) / 2 for 2 ordered pairs; (0.25) and (0 + 1) / 2
    assert {name: round(float(term), 5) for name, term in terms.items()} == dict(
        loss_align=2.0, loss_inter=8.5, loss_intra=0.75
    )


def test_an_image_without_labels_has_no_class_terms(task, coordinates):
    features = coordinates.clone().requires_grad_()
    vectors, labels = task.class_features(features, [make_sample([[255] * 3] * 2)])
    assert labels.tolist() == [-100] * 6
    terms = ClassAlignmentLoss(num_classes=NUM_CLASSES)(vectors, vectors, labels)
    assert {name: float(term) for name, term in terms.items()} == dict(loss_align=0, loss_inter=0, loss_intra=0)


def test_labels_go_image_after_image(task):
    features = torch.arange(8.0).reshape(2, 1, 2, 2)
    samples = [make_sample([[0, 1], [2, 3]]), make_sample([[3, 2], [255, 0]])]
    vectors, labels = task.class_features(features, samples)
    assert vectors.flatten().tolist() == list(range(8))
    assert labels.tolist() == [0, 1, 2, 3, 3, 2, -100, 0]


def test_label_map(task):
    """One-hot at another size; an ignored pixel belongs to no class."""
    mask = [[0, 0, 3, 3], [0, 0, 3, 3], [255, 255, 1, 1], [255, 255, 1, 1]]
    one_hot = task.label_map([make_sample(mask)], (2, 2), torch.device('cpu'))
    assert one_hot.shape == (1, NUM_CLASSES, 2, 2)
    assert one_hot[0].flatten(1).tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_relabel_keeps_the_given_samples(task):
    samples = [make_sample([[0, 1]]), make_sample([[2, 3]])]
    changed = task.relabel(samples, torch.tensor([[[3, 3]], [[1, 255]]]))
    assert task.labels(changed, 'cpu').tolist() == [[[3, 3]], [[1, 255]]]
    assert task.labels(samples, 'cpu').tolist() == [[[0, 1]], [[2, 3]]]


@pytest.mark.parametrize(('layer', 'channels'), [(None, 8), ('pre_logits', 8), ('logits', 4), ('backbone', 16)])
def test_feature_taps(layer, channels, task, batch):
    inputs = task.preprocess(task.model.data_preprocessor, batch[0])
    with task.feature_tap(layer) as tap:
        task.reference(inputs)
    features = tap.take()
    assert features.shape[:2] == (2, channels)
    if layer == 'logits':
        torch.testing.assert_close(features, task.model(inputs, mode='tensor'))


# --- class scores ---------------------------------------------------------------------------------------------------


def preprocessed(model, images):
    native = model.data_preprocessor
    return (images.flip(1) - native.mean) / native.std


def test_whole_inference(task, batch):
    inputs = preprocessed(task.model, batch[0])
    torch.testing.assert_close(task.preprocess(task.model.data_preprocessor, batch[0]), inputs)
    small = task.model.decode_head(task.model.backbone(inputs))
    assert small.shape == (2, NUM_CLASSES, 3, 4)
    expected = F.interpolate(small, (24, 32), mode='bilinear', align_corners=False)
    torch.testing.assert_close(task.logits(inputs), expected)
    torch.testing.assert_close(task.reference(inputs), expected)


def test_slide_inference(batch):
    """Windows of 16 every 8 pixels: 2 rows and 3 columns of them; each pixel is the mean of those that see it."""
    model = build_fcn(SLIDE).eval()
    inputs = preprocessed(model, batch[0])
    total, count = torch.zeros(2, NUM_CLASSES, 24, 32), torch.zeros(24, 32)
    for top in (0, 8):
        for left in (0, 8, 16):
            rows, columns = slice(top, top + 16), slice(left, left + 16)
            small = model.decode_head(model.backbone(inputs[..., rows, columns]))
            total[..., rows, columns] += F.interpolate(small, (16, 16), mode='bilinear', align_corners=False)
            count[rows, columns] += 1
    task = task_of(model)
    torch.testing.assert_close(task.logits(inputs), total / count)
    # In training the model sees the image in one piece.
    torch.testing.assert_close(task.reference(inputs), task_of(build_fcn().eval()).logits(inputs))
    pixels = batch[0].clone().requires_grad_()
    AttackSource(model).logits(pixels).square().sum().backward()
    assert pixels.grad.flatten(1).abs().amax(1).all()


def test_cross_entropy_is_a_sum_over_known_pixels(task):
    logits = torch.randn(1, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[[1, 255], [255, 3]]])
    log_softmax = logits.log_softmax(1)[0]
    expected = -log_softmax[1, 0, 0] - log_softmax[3, 1, 1]
    torch.testing.assert_close(task.cross_entropy(logits, target), expected[None])


# --- models of other forms ------------------------------------------------------------------------------------------

OHEM = dict(type='OhemCrossEntropy', thres=0.9, min_kept=100)
# What the host's own training mode switches on, and nothing else may: more outputs of backbone and head.
IN_TRAINING = {
    'pidnet': dict(
        backbone=dict(type='PIDNet', channels=4, ppm_channels=4, num_stem_blocks=1, num_branch_blocks=1),
        decode_head=dict(
            type='PIDHead',
            in_channels=16,
            channels=8,
            num_classes=NUM_CLASSES,
            loss_decode=[dict(type='CrossEntropyLoss'), OHEM, dict(type='BoundaryLoss'), OHEM],
        ),
    ),
    'ddrnet': dict(
        backbone=dict(type='DDRNet', channels=4, ppm_channels=8),
        decode_head=dict(
            type='DDRHead',
            in_channels=16,
            channels=8,
            num_classes=NUM_CLASSES,
            loss_decode=[OHEM, OHEM],
        ),
    ),
}
LOSSES = {
    'pidnet': ['acc_seg', 'loss_bd', 'loss_sem_bd', 'loss_sem_i', 'loss_sem_p'],
    'ddrnet': ['acc_seg', 'loss_context', 'loss_spatial'],
}


@pytest.fixture
def large_batch():
    """Two images of 64 x 96 pixels, left and right half of another class, with the edge in between."""
    images = torch.randint(256, (2, 3, 64, 96), generator=torch.Generator().manual_seed(0)).float()
    mask = torch.zeros(64, 96, dtype=torch.long)
    mask[:, 48:] = 1
    mask[:4, :4] = 255
    samples = [make_sample(mask, img_path='0.png'), make_sample((mask + 2) % 257, img_path='1.png')]
    for sample in samples:
        edges = torch.zeros(1, 64, 96, dtype=torch.long)
        edges[..., 48] = 1
        sample.gt_edge_map = PixelData(data=edges)
    samples[1].gt_sem_seg.data[..., :4, :4] = 255
    return images, samples


@pytest.mark.parametrize('family', IN_TRAINING)
def test_losses_of_models_that_tell_more_in_training(family, large_batch):
    model = build_segmentor(size=(64, 96), **IN_TRAINING[family])
    source, (images, samples) = AttackSource(model, training=True), large_batch
    prepared = source.prepare_samples(images, samples)
    # The host's own training mode, but for normalisation and dropout.
    for module in model.train().modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.Dropout2d)):
            module.eval()
    expected = model.loss(source.preprocess(images), prepared)
    model.eval()
    losses = source.losses(images, prepared)
    assert sorted(losses) == sorted(f'decode.{name}' for name in LOSSES[family])
    for name, value in losses.items():
        torch.testing.assert_close(value, expected[name])
    assert not any(module.training for module in model.modules())
    # What the feature terms compare, without and with the purifier.
    tap = source.task.feature_tap()
    assert CleanReference(source, images, tap).features.shape == (2, 8, 8, 12)
    with tap:
        source.losses(images, prepared)
    assert tap.take().shape == (2, 8, 8, 12)
    assert source.logits(images).shape == (2, NUM_CLASSES, 64, 96)


def test_no_layer_of_a_frozen_target_is_in_training(large_batch):
    """EMANet moves its bases along in training, batch normalisation its statistics."""
    head = dict(
        type='EMAHead',
        in_channels=16,
        in_index=1,
        channels=8,
        ema_channels=8,
        num_bases=4,
        num_stages=2,
        momentum=0.5,
        num_classes=NUM_CLASSES,
        norm_cfg=dict(type='BN'),
    )
    model = build_segmentor(decode_head=head).eval()
    before = copy.deepcopy(model.state_dict())
    bases = model.decode_head.ema_module.bases.clone()
    source, (images, samples) = AttackSource(model), large_batch
    assert source.losses(images, source.prepare_samples(images, samples))['decode.loss_ce'] > 0
    assert torch.equal(model.decode_head.ema_module.bases, bases)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


@pytest.fixture(scope='module')
def point_rend():
    """A cascade whose last head refines points alone, and takes more than features."""
    head = dict(num_classes=NUM_CLASSES, channels=8, in_index=[0], dropout_ratio=-1)
    return build_segmentor(
        type='CascadeEncoderDecoder',
        num_stages=2,
        decode_head=[
            dict(type='FPNHead', in_channels=[8, 16], feature_strides=[4, 8], **{**head, 'in_index': [0, 1]}),
            dict(type='PointHead', in_channels=[8], num_fcs=1, coarse_pred_each_layer=True, **head),
        ],
        train_cfg=ConfigDict(num_points=20, oversample_ratio=3, importance_sample_ratio=0.75),
        test_cfg=ConfigDict(mode='whole', subdivision_steps=2, subdivision_num_points=30, scale_factor=2),
    ).eval()


def test_scores_of_a_cascade_of_unlike_heads(point_rend, large_batch):
    task = task_of(point_rend)
    inputs = task.preprocess(point_rend.data_preprocessor, large_batch[0])
    expected = torch.stack([result.seg_logits.data for result in point_rend.predict(inputs)])
    for scores in (task.logits(inputs), task.reference(inputs)):
        assert scores.shape == (2, NUM_CLASSES, 64, 96)
        torch.testing.assert_close(scores, expected)
    # No layer of the last head sees all positions.
    with task.feature_tap() as tap:
        task.reference(inputs)
    torch.testing.assert_close(tap.take(), point_rend.backbone(inputs)[-1])


@pytest.mark.parametrize('objective', ['cross_entropy', 'task_loss'])
def test_a_cascade_of_unlike_heads_is_attacked(objective, point_rend, large_batch):
    torch.manual_seed(0)  # its loss draws points
    source, (images, samples) = AttackSource(point_rend), large_batch
    adversarial = attack(source, images, samples, objective)
    assert 3 < (adversarial - images).abs().max() <= 6 + 1e-4
    with source.undisturbed(), torch.no_grad():
        labels = source.task.labels(samples, 'cpu')
        before, after = (source.task.cross_entropy(source.logits(x), labels).sum() for x in (images, adversarial))
    assert after > before


def test_scores_of_a_head_of_masks(large_batch):
    """Mask2Former's head asks for samples; its scores are mixtures of masks."""
    pytest.importorskip('mmdet')
    from mmengine.hub import get_config

    config = Config(get_config('mmseg::mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py').model)
    thin = {
        'backbone.depth': 18,
        'backbone.base_channels': 8,
        'backbone.norm_cfg.type': 'BN',
        'backbone.init_cfg': None,
        'decode_head.in_channels': [8, 16, 32, 64],
        'decode_head.num_classes': NUM_CLASSES,
        'decode_head.num_queries': 5,
        'decode_head.pixel_decoder.encoder.num_layers': 1,
        'decode_head.transformer_decoder.num_layers': 1,
        'decode_head.loss_cls.class_weight': [1.0] * NUM_CLASSES + [0.1],
        'decode_head.train_cfg.num_points': 100,
    }
    config.merge_from_dict(thin)
    model = build_segmentor(backbone=config.backbone, decode_head=config.decode_head).eval()
    source, (images, samples) = AttackSource(model), large_batch
    inputs = source.preprocess(images)
    classes, masks = model.decode_head(model.backbone(inputs), samples)
    masks = F.interpolate(masks[-1], (64, 96), mode='bilinear', align_corners=False).sigmoid()
    expected = torch.einsum('nqk,nqhw->nkhw', classes[-1].softmax(-1)[..., :-1], masks)
    for scores in (source.task.logits(inputs), source.task.reference(inputs)):
        torch.testing.assert_close(scores, expected)
    losses = source.losses(images, source.prepare_samples(images, samples))
    assert {'decode.loss_cls', 'decode.loss_mask', 'decode.loss_dice'} <= losses.keys()
    with source.task.feature_tap() as tap:
        source.task.reference(inputs)
    torch.testing.assert_close(tap.take(), model.backbone(inputs)[-1])


# --- ground truth in the frame of the resized image -----------------------------------------------------------------

RESIZES = {
    # 8 rows and 12 columns become
    'keep_ratio': (dict(scale=(24, 16), keep_ratio=True), (16, 24)),
    'squeeze': (dict(scale=(6, 16), keep_ratio=False), (16, 6)),
}


def run_pipeline(results, *steps):
    with DefaultScope.overwrite_default_scope('mmseg'):
        import mmseg.datasets.transforms  # noqa: F401

        transforms = [TRANSFORMS.build(dict(step)) for step in (dict(type='LoadImageFromFile'), *steps)]
    results = copy.deepcopy(results)
    for transform in transforms:
        results = transform(results)
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=transforms))
    return results['data_samples'], annotations_in_input_frame(dataset)


@pytest.mark.parametrize('how', RESIZES)
def test_masks_follow_the_image(how, tmp_path):
    import cv2

    mask = np.zeros((8, 12), np.uint8)
    mask[2:6, 4:10] = 3
    mask[0] = 255
    cv2.imwrite(str(tmp_path / 'mask.png'), mask)
    cv2.imwrite(str(tmp_path / 'image.png'), np.zeros((8, 12, 3), np.uint8))
    results = dict(
        img_path=str(tmp_path / 'image.png'),
        seg_map_path=str(tmp_path / 'mask.png'),
        seg_fields=[],
        reduce_zero_label=False,
    )
    settings, size = RESIZES[how]
    resize, load, pack = dict(type='Resize', **settings), dict(type='LoadAnnotations'), dict(type='PackSegInputs')
    trained, moved_before = run_pipeline(results, load, resize, pack)
    tested, moved_in_test = run_pipeline(results, resize, load, pack)
    assert (moved_before, moved_in_test) == (True, False)

    task = task_of(build_fcn())
    (ours,) = task.in_input_frame([tested], moved_in_test)
    mask = torch.from_numpy(mask)
    # The nearest pixel of whole steps is the one at the start of the step.
    rows = torch.arange(size[0]) * 8 // size[0]
    columns = torch.arange(size[1]) * 12 // size[1]
    expected = mask[rows][:, columns]
    assert ours.gt_sem_seg.data.shape == (1, *size)
    assert torch.equal(ours.gt_sem_seg.data[0].to(torch.uint8), expected)
    assert torch.equal(ours.gt_sem_seg.data, trained.gt_sem_seg.data)
    # What was given is as it was: the host's metric still needs it.
    assert tested.gt_sem_seg.data.shape == (1, 8, 12)
    (kept,) = task.in_input_frame([trained], moved_before)
    assert torch.equal(kept.gt_sem_seg.data, trained.gt_sem_seg.data)


def test_the_frame_is_known_through_wrappers_of_data_sets():
    def transforms(*names):
        return SimpleNamespace(transforms=[type(name, (), {})() for name in names])

    in_test = SimpleNamespace(pipeline=transforms('LoadImageFromFile', 'Resize', 'LoadAnnotations'))
    in_training = SimpleNamespace(pipeline=transforms('LoadImageFromFile', 'LoadAnnotations', 'RandomCrop'))
    assert not annotations_in_input_frame(SimpleNamespace(dataset=SimpleNamespace(datasets=[in_test])))
    assert annotations_in_input_frame(SimpleNamespace(datasets=[in_training]))
    # Nothing moves, nothing is annotated, nothing is known.
    assert annotations_in_input_frame(SimpleNamespace(pipeline=transforms('LoadAnnotations')))
    assert annotations_in_input_frame(SimpleNamespace(pipeline=transforms('Resize')))
    assert annotations_in_input_frame(SimpleNamespace())


def test_a_label_beyond_the_classes_names_the_file(task):
    good = make_sample([[0, 3, 255]], img_path='good.png')
    task.check_samples([good])
    bad = make_sample([[0, 4, 7]], img_path='bad.png')
    with pytest.raises(ValueError, match=r'bad\.png has label 7, but the model predicts 4 classes and ignores 255'):
        task.check_samples([good, bad])
    bad.set_metainfo(dict(seg_map_path='bad_mask.png'))
    with pytest.raises(ValueError, match=r'bad_mask\.png has label 7.*check reduce_zero_label'):
        task.check_samples([bad])
    # In tests too, where the host would count such pixels as mistakes.
    for use in (task.in_input_frame, task.score_samples):
        with pytest.raises(ValueError, match=r'bad_mask\.png has label 7'):
            use([good, bad], False)


# --- padding --------------------------------------------------------------------------------------------------------


@pytest.fixture
def padding_model():
    """Pads to 40 x 40 in training, as stock models do to their crop size."""
    return build_fcn(size=(40, 40))


def test_training_pads_images_and_masks_to_the_crop_size(padding_model, batch):
    source, (images, samples) = AttackSource(padding_model, training=True), batch
    inputs = source.preprocess(images)
    assert inputs.shape == (2, 3, 40, 40)
    torch.testing.assert_close(inputs[..., :24, :32], preprocessed(padding_model, images))
    assert not inputs[..., 24:, :].any() and not inputs[..., 32:].any()
    labels = source.task.labels(source.prepare_samples(images, samples), 'cpu')
    assert labels.shape == (2, 40, 40) and labels[:, 24:].eq(255).all() and labels[..., 32:].eq(255).all()
    assert torch.equal(labels[0, :24, :32], samples[0].gt_sem_seg.data[0])
    assert samples[0].gt_sem_seg.data.shape == (1, 24, 32)


def test_tests_pad_a_list_to_its_largest(padding_model, batch):
    images, samples = batch
    images = [images[0], images[1][:, :16]]
    samples = [samples[0], make_sample(samples[1].gt_sem_seg.data[0, :16])]
    source = AttackSource(padding_model)
    assert source.preprocess([images[1]]).shape == (1, 3, 16, 32)
    (prepared,) = source.prepare_samples([images[1]], [samples[1]])
    assert prepared.gt_sem_seg.data.shape == (1, 16, 32)


def test_features_of_the_reference_and_the_training_forward_have_one_shape(batch):
    """The purifier trains on padded images, so the reference must see them padded too."""
    model = build_fcn(size=(40, 40), preprocessor='AlignPurifier')
    images, samples = batch
    source = AttackSource(model, training=True)
    tap = source.task.feature_tap()
    reference = CleanReference(source, images, tap)
    step = SimpleNamespace(clean=images, adversarial=images, purifies_clean=True, images=None)
    data = model.data_preprocessor({'inputs': images, 'data_samples': samples, STEP: step}, training=True)
    assert data.pop(STEP) is step and len(step.images.clean) == 2
    with tap:
        losses = model(**data, mode='loss')
    trained = tap.take()
    assert trained.shape == (4, 8, 5, 5)
    assert reference.features.shape == trained[:2].shape
    prepared = data['data_samples'][:2]
    assert source.task.class_features(reference.features, prepared)[0].shape == (2 * 25, 8)
    assert all(torch.isfinite(value) for value in losses.values())


# --- attacks on a real model ----------------------------------------------------------------------------------------


def attack(source, images, samples, objective='cross_entropy', seeds=(0, 1), **settings):
    config = {'type': 'BIM', 'eps': 6, 'step_size': 3, 'steps': 3, 'objective': objective, **settings}
    return build_attack(config)(source, images, samples, Randomness(list(seeds)))


@pytest.mark.parametrize('mode', ['whole', 'slide'])
@pytest.mark.parametrize('objective', ['cross_entropy', 'kl', 'task_loss'])
def test_attacks(objective, mode, batch):
    model = build_fcn(SLIDE if mode == 'slide' else None).train()
    model.backbone.eval()  # left so by its user
    state = copy.deepcopy(model.state_dict())
    flags = [module.training for module in model.modules()]
    source, (images, samples) = AttackSource(model), batch
    given, masks = images.clone(), [sample.gt_sem_seg.data.clone() for sample in samples]
    start = dict(type='PGD', random_start='normal') if objective == 'kl' else {}
    adversarial = attack(source, images, samples, objective, **start)

    change = (adversarial - images).abs().flatten(1).amax(1)
    assert (change > 0).all() and (change <= 6 + 1e-4).all()
    assert adversarial.min() >= 0 and adversarial.max() <= 255
    assert torch.equal(images, given)
    assert all(torch.equal(sample.gt_sem_seg.data, mask) for sample, mask in zip(samples, masks))
    with source.undisturbed(), torch.no_grad():
        labels = source.task.labels(samples, 'cpu')
        before, after = (source.task.cross_entropy(source.logits(x), labels) for x in (images, adversarial))
    assert after.sum() > before.sum()
    assert [module.training for module in model.modules()] == flags
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())


def test_an_image_does_not_depend_on_its_batch(model, batch):
    source, (images, samples) = AttackSource(model), batch
    together = attack(source, images, samples, steps=1)
    for index in range(2):
        alone = attack(source, images[index : index + 1], samples[index : index + 1], steps=1)
        # Where a gradient is all but 0, its sign is rounding.
        assert (alone[0] == together[index]).float().mean() > 0.99


def test_targeted(model, batch):
    """A random target of each pixel is not its class, and the attack moves there."""
    source, (images, samples) = AttackSource(model), batch
    with pytest.raises(ValueError, match='no targeted form'):
        attack(source, images, samples, 'kl', targeted=True)


def test_an_image_without_any_label_stays(model, batch):
    images, samples = batch
    empty = make_sample(torch.full((24, 32), 255), img_path='empty.png')
    adversarial = attack(AttackSource(model), images, [samples[0], empty])
    assert adversarial.isfinite().all()
    assert (adversarial[0] - images[0]).abs().max() == 6
    assert torch.equal(adversarial[1], images[1])


def test_the_training_attack_sees_the_padded_image(padding_model, batch):
    images, samples = batch
    adversarial = attack(AttackSource(padding_model, training=True), images, samples)
    assert adversarial.shape == images.shape
    assert 0 < (adversarial - images).abs().max() <= 6 + 1e-4
