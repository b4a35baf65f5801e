import copy
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fixtures.thin_detectors import NUM_CLASSES, build_thin_detector
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.structures import InstanceData

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.losses import ClassAlignmentLoss
from mmadvdefense.tasks import DetectionTask, annotations_in_input_frame, task_of
from mmadvdefense.tasks.detection import loss_group

pytest.importorskip('mmdet')

FAMILIES = ('faster_rcnn', 'retinanet', 'fcos', 'yolox', 'detr', 'ssd')


def make_sample(boxes=(), labels=(), size=(64, 96), ignored=(), **meta):
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes

    def instances(boxes, labels):
        boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        return InstanceData(bboxes=HorizontalBoxes(boxes), labels=torch.tensor(labels, dtype=torch.long))

    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, batch_input_shape=size, **meta))
    sample.gt_instances = instances(boxes, labels)
    sample.ignored_instances = instances(ignored, [0] * len(ignored))
    return sample


def make_task():
    """A task that asks nothing of its model."""
    return DetectionTask(SimpleNamespace())


# --- features of each box -------------------------------------------------------------------------------------------


@pytest.fixture
def coordinates():
    """Two maps of 8 x 12 cells at stride 8; a cell holds the x and y of its centre, plus 100 in the second image."""
    y, x = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(12) + 0.5, indexing='ij')
    image = torch.stack([x, y])
    return torch.stack([image, image + 100])


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        # x1, y1, x2, y2 in pixels; the mean of the centres of the cells is the middle of the box in cells
        ([16, 8, 40, 24], [3.5, 2.0]),
        ([0, 0, 96, 64], [6.0, 4.0]),
        ([88, 56, 96, 64], [11.5, 7.5]),
        # outside the image: cut off at its edge
        ([-16, -8, 24, 16], [1.5, 1.0]),
        ([64, 48, 200, 300], [10.0, 7.0]),
        ([-50, -50, 500, 500], [6.0, 4.0]),
        # a quarter of a cell, between its neighbours
        ([16, 8, 20, 12], [2.25, 1.25]),
    ],
)
def test_a_box_reads_the_mean_of_its_cells(box, expected, coordinates):
    vectors, labels = make_task().class_features(coordinates[:1], [make_sample([box], [2])])
    torch.testing.assert_close(vectors, torch.tensor([expected]))
    assert labels.tolist() == [2]


def test_boxes_read_the_map_of_their_own_image(coordinates):
    first = make_sample([[0, 0, 8, 8], [16, 8, 40, 24]], [0, 2])
    second = make_sample([[16, 8, 40, 24]], [1])
    vectors, labels = make_task().class_features(coordinates, [first, second])
    torch.testing.assert_close(vectors, torch.tensor([[0.5, 0.5], [3.5, 2.0], [103.5, 102.0]]))
    assert labels.tolist() == [0, 2, 1]


def test_features_of_another_form_than_lines(coordinates):
    features = torch.rand(1, 5, 8, 12, generator=torch.Generator().manual_seed(0))
    vectors, _ = make_task().class_features(features, [make_sample([[16, 8, 40, 24]], [0])])
    torch.testing.assert_close(vectors[0], features[0, :, 1:3, 2:5].mean((1, 2)))


def test_sides_have_strides_of_their_own():
    """Rounding makes the stride of a map uneven: 12 cells for 90 pixels."""
    features = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    vectors, _ = make_task().class_features(features, [make_sample([[15, 16, 30, 32]], [0], size=(64, 90))])
    torch.testing.assert_close(vectors[0], features[0, :, 2:4, 2:4].mean((1, 2)))


@pytest.mark.parametrize(
    'box', [[10, 10, 10, 30], [10, 10, 30, 10], [30, 10, 10, 20], [120, 10, 130, 20], [-20, -20, -10, -10]]
)
def test_a_box_without_area_has_no_class(box, coordinates):
    sample = make_sample([box, [0, 0, 8, 8]], [1, 2])
    vectors, labels = make_task().class_features(coordinates[:1], [sample])
    assert labels.tolist() == [-100, 2]
    assert vectors.isfinite().all()


def test_images_without_objects(coordinates):
    features = coordinates.clone().requires_grad_()
    vectors, labels = make_task().class_features(features, [make_sample(), make_sample([[16, 8, 40, 24]], [1])])
    torch.testing.assert_close(vectors, torch.tensor([[103.5, 102.0]]))
    assert labels.tolist() == [1]

    vectors, labels = make_task().class_features(features, [make_sample(), make_sample()])
    assert vectors.shape == (0, 2) and labels.shape == (0,)
    terms = ClassAlignmentLoss(num_classes=NUM_CLASSES)(vectors, vectors, labels)
    assert {name: float(term) for name, term in terms.items()} == dict(loss_align=0, loss_inter=0, loss_intra=0)
    sum(terms.values()).backward()
    assert not features.grad.any()


def test_boxes_pull_their_map(coordinates):
    """Each cell of a box has an equal share in its vector, the others none."""
    features = coordinates[:1].clone().requires_grad_()
    make_task().class_features(features, [make_sample([[16, 8, 40, 24]], [1])])[0].sum().backward()
    expected = torch.zeros(1, 2, 8, 12)
    expected[:, :, 1:3, 2:5] = 1 / 6
    torch.testing.assert_close(features.grad, expected)


def test_relabel_keeps_the_given_samples():
    samples = [make_sample([[0, 0, 8, 8]] * 2, [0, 1]), make_sample(), make_sample([[0, 0, 8, 8]], [2])]
    task = make_task()
    changed = task.relabel(samples, torch.tensor([2, 0, 1]))
    assert task.labels(changed, 'cpu').tolist() == [2, 0, 1]
    assert task.labels(samples, 'cpu').tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ('layer', 'message'), [('pre_logits', 'last map of the backbone'), ('logits', 'no dense head.*name a layer')]
)
def test_layers_that_a_detector_does_not_have(layer, message):
    with pytest.raises(ValueError, match=message):
        make_task().feature_tap(layer)


def test_scores_in_a_row_are_no_features_of_boxes():
    with pytest.raises(ValueError, match="feature_layer='logits' has no map, name a layer"):
        make_task().class_features(torch.zeros(1, 40), [make_sample([[0, 0, 8, 8]], [2])])


# --- ground truth in the frame of the resized image -----------------------------------------------------------------

RESIZES = {
    # 40 x 20 pixels become
    'keep_ratio': (dict(scale=(60, 50), keep_ratio=True), (30, 60), (1.5, 1.5)),
    'squeeze': (dict(scale=(60, 50), keep_ratio=False), (50, 60), (1.5, 2.5)),
}


@pytest.fixture
def image_with_box(tmp_path):
    """An image of 20 rows and 40 columns, a box with its polygon, and a box to ignore."""
    import cv2

    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, np.zeros((20, 40, 3), np.uint8))
    square = [10.0, 4.0, 30.0, 4.0, 30.0, 16.0, 10.0, 16.0]
    box = dict(bbox=[10.0, 4.0, 30.0, 16.0], bbox_label=1, mask=[square], ignore_flag=0)
    return dict(img_path=path, img_id=0, height=20, width=40, instances=[box, {**box, 'ignore_flag': 1}])


def run_pipeline(results, *steps):
    with DefaultScope.overwrite_default_scope('mmdet'):
        import mmdet.datasets.transforms  # noqa: F401

        transforms = [TRANSFORMS.build(dict(step)) for step in (dict(type='LoadImageFromFile'), *steps)]
    results = copy.deepcopy(results)
    for transform in transforms:
        results = transform(results)
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=transforms))
    return results['data_samples'], annotations_in_input_frame(dataset)


@pytest.mark.parametrize('how', RESIZES)
def test_boxes_and_masks_follow_the_image(how, image_with_box):
    settings, size, (wide, high) = RESIZES[how]
    load = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
    resize, pack = dict(type='Resize', **settings), dict(type='PackDetInputs')
    trained, moved_before = run_pipeline(image_with_box, load, resize, pack)
    tested, moved_in_test = run_pipeline(image_with_box, resize, load, pack)
    assert (moved_before, moved_in_test) == (True, False)
    before = copy.deepcopy(tested)

    task = make_task()
    (ours,) = task.in_input_frame([tested], moved_in_test)
    expected = torch.tensor([[10 * wide, 4 * high, 30 * wide, 16 * high]])
    for instances in (ours.gt_instances, ours.ignored_instances):
        torch.testing.assert_close(instances.bboxes.tensor, expected)
        mask = torch.from_numpy(instances.masks.masks[0])
        assert mask.shape == size
        assert mask.sum() == 20 * wide * 12 * high
    torch.testing.assert_close(ours.gt_instances.bboxes.tensor, trained.gt_instances.bboxes.tensor)
    assert np.array_equal(ours.gt_instances.masks.masks, trained.gt_instances.masks.masks)
    # What was given is as it was: the host's metric still needs it.
    torch.testing.assert_close(tested.gt_instances.bboxes.tensor, before.gt_instances.bboxes.tensor)
    assert tested.gt_instances.masks.masks.shape == (1, 20, 40)

    (kept,) = task.in_input_frame([trained], moved_before)
    torch.testing.assert_close(kept.gt_instances.bboxes.tensor, expected)


def test_bare_tensors_of_boxes_follow_too():
    sample = make_sample(size=(63, 96), scale_factor=(2.0, 3.0))
    sample.set_metainfo(dict(ori_shape=(21, 48)))
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[1.0, 1.0, 4.0, 5.0]]), labels=torch.tensor([0]))
    (moved,) = make_task().in_input_frame([sample], False)
    assert moved.gt_instances.bboxes.tolist() == [[2, 3, 8, 15]]


@pytest.fixture
def warned(monkeypatch):
    """What is said in the log."""
    lines = []
    monkeypatch.setattr('mmadvdefense.tasks.detection.print_log', lambda text, *_: lines.append(text))
    return lines


# An image of 64 rows and 96 columns; flat in x and y, corners the wrong way round, beside and before the image.
INVISIBLE = [[10, 10, 10, 30], [10, 10, 30, 10], [30, 20, 10, 10], [96, 10, 130, 20], [-20, -20, 0, 5]]


@pytest.mark.parametrize('box', INVISIBLE)
def test_a_box_without_an_area_inside_the_image_names_the_file(box):
    good = make_sample([[-5, -5, 1, 1], [95, 63, 200, 300]], [0, 1], img_path='good.png')
    make_task().check_samples([good, make_sample()])
    bad = make_sample([[1, 1, 5, 5], box], [0, 1], img_path='bad.png')
    with pytest.raises(
        ValueError, match=r'bad\.png: the box \[' + f'{box[0]:.1f}' + r', .* has no area inside the image'
    ):
        make_task().check_samples([good, bad])


@pytest.mark.parametrize('moved', [False, True])
def test_the_attack_leaves_such_a_box_out(moved, warned):
    from mmdet.structures.mask import BitmapMasks

    # In the frame of the file, where the image is half as large.
    boxes = torch.tensor([[1.0, 1.0, 5.0, 5.0], *INVISIBLE, [90.0, 60.0, 200.0, 300.0]]) / (1 if moved else 2)
    sample = make_sample(boxes.tolist(), [0, 1, 1, 1, 1, 1, 2], img_path='bad.png', scale_factor=(2.0, 2.0))
    size = (64, 96) if moved else (32, 48)
    sample.set_metainfo(dict(ori_shape=(32, 48)))
    sample.gt_instances.masks = BitmapMasks(
        np.arange(7, dtype=np.uint8)[:, None, None].repeat(size[0], 1).repeat(size[1], 2), *size
    )
    (ours,) = make_task().in_input_frame([sample], moved)
    assert ours.gt_instances.labels.tolist() == [0, 2]
    assert ours.gt_instances.bboxes.tensor.tolist() == [[1, 1, 5, 5], [90, 60, 200, 300]]
    assert ours.gt_instances.masks.masks.shape == (2, 64, 96)
    assert ours.gt_instances.masks.masks[:, 0, 0].tolist() == [0, 6]
    assert len(sample.gt_instances) == 7
    assert warned == ['bad.png: 5 of 7 boxes have no area inside the image; the attack leaves them out']


def test_no_word_of_boxes_that_are_in_order(warned):
    from mmdet.structures import DetDataSample

    unlabelled = DetDataSample(metainfo=dict(img_shape=(64, 96)))
    samples = [make_sample([[1, 1, 5, 5]], [0]), make_sample(), unlabelled]
    assert len(make_task().in_input_frame(samples, True)) == 3
    make_task().check_samples(samples)
    assert not warned


# --- what the losses of detectors are called ------------------------------------------------------------------------

LOSSES = {
    'faster_rcnn': dict(
        loss_rpn_cls='cls', loss_rpn_bbox='loc', loss_cls='cls', acc=None, loss_bbox='loc'
    ),
    'retinanet': dict(loss_cls='cls', loss_bbox='loc'),
    'fcos': dict(loss_cls='cls', loss_bbox='loc', loss_centerness='loc'),
    'yolox': dict(loss_cls='cls', loss_bbox='loc', loss_obj='cls'),
    'detr': {
        'loss_cls': 'cls', 'loss_bbox': 'loc', 'loss_iou': 'loc',
        'd0.loss_cls': 'cls', 'd0.loss_bbox': 'loc', 'd0.loss_iou': 'loc',
    },
    'ssd': dict(loss_cls='cls', loss_bbox='loc'),
}  # fmt: skip


@pytest.fixture(scope='module')
def detector():
    """Thin stock models by family, built once."""
    return lru_cache(build_thin_detector)


@pytest.fixture
def batch():
    """Two images of 64 x 96 and 96 x 64 pixels."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (3, *size), generator=generator).float() for size in ((64, 96), (96, 64))]
    meta = dict(scale_factor=(1.0, 1.0), flip=False)
    boxes = [[[10, 10, 50, 60], [40, 4, 90, 40]], [[5, 30, 60, 90]]]
    first = make_sample(boxes[0], [0, 2], (64, 96), img_path='first.png', **meta)
    return images, [first, make_sample(boxes[1], [1], (96, 64), img_path='second.png', **meta)]


@pytest.mark.parametrize('family', FAMILIES)
def test_loss_groups_of_real_models(family, detector, batch):
    model = detector(family)
    source, (images, samples) = AttackSource(model), batch
    with source.undisturbed():
        losses = source.losses(images, source.prepare_samples(images, samples))
    assert {name: loss_group(name) for name in losses} == LOSSES[family]
    for part in ('cls', 'loc', 'cls+loc'):
        groups = part.split('+')
        selected = source.task.select_losses(losses, part)
        wanted = [value for name, value in losses.items() if LOSSES[family][name] in groups]
        assert len(selected) == len(wanted) and all(ours is theirs for ours, theirs in zip(selected, wanted))
    assert source.task.num_classes == NUM_CLASSES


@pytest.mark.parametrize(
    ('name', 'group'),
    [
        ('loss_conf', 'cls'), ('loss_xy', 'loc'), ('loss_wh', 'loc'),  # YOLOv3
        ('loss_center_heatmap', 'cls'), ('loss_offset', 'loc'),  # CenterNet
        ('dn_loss_cls', 'cls'), ('enc_loss_iou', 'loc'), ('d5.dn_loss_bbox', 'loc'),  # DINO
        ('s2.loss_bbox', 'loc'), ('s0.loss_cls', 'cls'), ('s1.loss_mask', 'loc'),  # Cascade R-CNN
        ('loss_dfl', 'loc'), ('loss_bbox_rf', 'loc'), ('loss_pts_init', 'loc'),  # GFL, VFNet, RepPoints
        ('stage0_loss_cls', 'cls'), ('stage2_loss_bbox', 'loc'), ('loss_segm', None),  # Sparse R-CNN, YOLACT
        ('acc', None), ('loss', None),
    ],
)  # fmt: skip
def test_loss_groups_by_name(name, group):
    assert loss_group(name) == group


def test_no_loss_of_the_group():
    task = make_task()
    losses = dict(loss_cls=torch.ones(()), loss_rpn_cls=torch.ones(()), acc=torch.ones(()))
    with pytest.raises(ValueError, match=r"no loss of the group 'loc'; its entries are loss_cls, loss_rpn_cls, acc"):
        task.select_losses(losses, 'loc')


# --- attacks on real detectors --------------------------------------------------------------------------------------


def attack(source, batch, objective, seeds=(0, 1), **settings):
    images, samples = batch
    torch.manual_seed(0)  # samplers of proposals draw from global state
    config = {'type': 'FGSM', 'eps': 8, 'objective': objective, **settings}
    return build_attack(config)(source, images, samples, Randomness(list(seeds)))


def losses_of(source, images, samples):
    with source.undisturbed(), torch.no_grad():
        torch.manual_seed(0)
        return source.losses(images, source.prepare_samples(images, samples))


def total(source, images, samples, part):
    values = source.task.select_losses(losses_of(source, images, samples), part)
    return float(sum(v.mean() if torch.is_tensor(v) else sum(i.mean() for i in v) for v in values))


@pytest.mark.parametrize('objective', ['cls', 'loc', 'cls+loc', 'cls_or_loc'])
@pytest.mark.parametrize('family', ['retinanet', 'ssd'])
def test_attacks(family, objective, detector, batch):
    model = detector(family).train()
    model.backbone.eval()  # left so by its user
    state = copy.deepcopy(model.state_dict())
    flags = [module.training for module in model.modules()]
    tracked = [parameter.requires_grad for parameter in model.parameters()]
    source, (images, samples) = AttackSource(model), batch
    originals = [image.clone() for image in images]
    adversarial = attack(source, batch, objective, type='BIM', step_size=2, steps=3)

    for image, original, attacked in zip(images, originals, adversarial):
        assert torch.equal(image, original) and attacked.shape == image.shape
        change = (attacked - image).abs()
        assert 0 < change.max() <= 6 + 1e-4 and attacked.min() >= 0 and attacked.max() <= 255
    if objective != 'cls_or_loc':
        assert total(source, adversarial, samples, objective) > total(source, images, samples, objective)
    assert [module.training for module in model.modules()] == flags
    assert [parameter.requires_grad for parameter in model.parameters()] == tracked
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in state.items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [len(sample.gt_instances) for sample in samples] == [2, 1]


def test_cls_or_loc_is_drawn_by_batch(detector, batch):
    source = AttackSource(detector('retinanet'))
    both = {part: attack(source, batch, part)[0] for part in ('cls', 'loc')}
    drawn = [attack(source, batch, 'cls_or_loc', seeds=(seed, seed + 1))[0] for seed in range(8)]
    found = [next(part for part, image in both.items() if torch.equal(image, ours)) for ours in drawn]
    assert set(found) == {'cls', 'loc'}


@pytest.mark.parametrize('objective', ['cls', 'loc', 'cls+loc'])
def test_an_image_does_not_depend_on_its_batch(objective, detector):
    """RetinaNet divides all its losses by one number, so that its neighbours scale an image's gradient only."""
    source = AttackSource(detector('retinanet'))
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (3, 64, 96), generator=generator).float() for _ in range(2)]
    meta = dict(scale_factor=(1.0, 1.0))
    samples = [
        make_sample([[10, 10, 50, 60]], [0], **meta),
        make_sample([[40, 4, 90, 40], [2, 2, 30, 60]], [1, 2], **meta),
    ]
    together = attack(source, (images, samples), objective)
    for index in range(2):
        (alone,) = attack(source, (images[index : index + 1], samples[index : index + 1]), objective)
        # Where a gradient is all but 0, its sign is rounding.
        assert (alone == together[index]).float().mean() > 0.99


@pytest.mark.parametrize('objective', ['cls', 'loc', 'cls+loc'])
@pytest.mark.parametrize('family', FAMILIES)
def test_an_image_without_objects_can_be_attacked(family, objective, detector, batch):
    images, samples = batch
    empty = make_sample(size=(96, 64), img_path='second.png', scale_factor=(1.0, 1.0))
    adversarial = attack(AttackSource(detector(family)), (images, [samples[0], empty]), objective)
    assert all(image.isfinite().all() for image in adversarial)
    assert (adversarial[0] - images[0]).abs().max() == 8


def test_loc_without_any_object_changes_nothing(detector, batch):
    images, samples = batch
    empty = [make_sample(size=sample.img_shape, scale_factor=(1.0, 1.0)) for sample in samples]
    adversarial = attack(AttackSource(detector('retinanet')), (images, empty), 'loc')
    assert all(torch.equal(ours, image) for ours, image in zip(adversarial, images))


def test_a_detector_without_localisation(detector, batch, monkeypatch):
    model = detector('ssd')
    monkeypatch.setattr(model, 'loss', lambda inputs, samples: dict(loss_cls=inputs.sum(), acc=inputs.mean()))
    assert attack(AttackSource(model), batch, 'cls')[0].shape == (3, 64, 96)
    with pytest.raises(ValueError, match=r"no loss of the group 'loc'; its entries are loss_cls, acc"):
        attack(AttackSource(model), batch, 'loc')


@pytest.mark.parametrize('objective', ['cross_entropy', 'kl'])
def test_objectives_on_logits_are_refused(objective, detector, batch):
    with pytest.raises(ValueError, match="use an objective on its losses: 'cls', 'loc'"):
        attack(AttackSource(detector('ssd')), batch, objective, type='PGD', step_size=2, steps=1)


def test_training_preprocesses_without_batch_augments(detector, batch):
    """YOLOX resizes batches at random in training; an attack must not."""
    model = detector('yolox')
    assert model.data_preprocessor.batch_augments
    source = AttackSource(model, training=True)
    images, samples = batch
    assert source.preprocess(images).shape == (2, 3, 96, 96)
    prepared = source.prepare_samples(images, samples)
    assert torch.equal(prepared[0].gt_instances.bboxes, samples[0].gt_instances.bboxes.tensor)


def test_task_of_a_detector(detector):
    assert isinstance(task_of(detector('detr')), DetectionTask)
