import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmadvdefense.tasks import ClassificationTask, FeatureTap, task_of


@pytest.fixture
def task(tiny_classifier):
    return task_of(tiny_classifier.eval())


@pytest.fixture
def inputs(task, image_batch):
    return task.model.data_preprocessor({'inputs': image_batch.images, 'data_samples': None})['inputs']


def count_hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_task_is_found_from_the_package_of_the_model(tiny_classifier):
    task = task_of(tiny_classifier)
    assert isinstance(task, ClassificationTask) and task.model is tiny_classifier
    assert task.name == 'classification'

    class Mine(type(tiny_classifier)):
        """A user's own subclass lives in another package."""

    tiny_classifier.__class__ = Mine
    assert isinstance(task_of(tiny_classifier), ClassificationTask)


def test_a_foreign_model_is_refused():
    with pytest.raises(TypeError, match=r'Linear is not a model of mmpretrain.*torch'):
        task_of(nn.Linear(2, 2))


def test_logits(task, inputs):
    pooled = task.model.backbone(inputs)[0].mean((2, 3))
    expected = F.linear(pooled, task.model.head.fc.weight, task.model.head.fc.bias)
    torch.testing.assert_close(task.logits(inputs), expected)


def test_logits_are_those_of_a_deep_head(make_classifier, image_batch):
    """Multi-stage hosts return a tuple from ``mode='tensor'`` where they have no head; the last counts."""
    model = make_classifier().eval()
    task = task_of(model)
    model.head.forward = lambda features: (torch.zeros(1), features[-1][:, :5])
    inputs = task.preprocess(model.data_preprocessor, image_batch.images)
    assert task.logits(inputs).shape == (6, 5)


def test_preprocess_normalises(task, image_batch):
    native = task.model.data_preprocessor
    expected = (image_batch.images - native.mean) / native.std
    assert torch.equal(task.preprocess(native, image_batch.images), expected)
    assert torch.equal(task.preprocess(native, list(image_batch.images)), expected)


def test_cross_entropy_is_one_number_an_image(task):
    logits, target = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 4, 4])
    expected = -logits.log_softmax(1)[range(4), target]
    torch.testing.assert_close(task.cross_entropy(logits, target), expected)


# --- features -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('layer', [None, 'pre_logits'])
def test_pre_logits(layer, task, inputs):
    with task.feature_tap(layer) as tap:
        task.logits(inputs)
    torch.testing.assert_close(tap.take(), task.model.backbone(inputs)[0].mean((2, 3)))


def test_logits_as_features(task, inputs):
    with task.feature_tap('logits') as tap:
        logits = task.logits(inputs)
    assert torch.equal(tap.take(), logits)


def test_a_named_layer(task, inputs):
    with task.feature_tap('backbone.stage1') as tap:
        task.logits(inputs)
    torch.testing.assert_close(tap.take(), task.model.backbone.stage1(inputs))
    # A module that returns a tuple, as backbones do: the last counts.
    with task.feature_tap('backbone') as tap:
        task.logits(inputs)
    torch.testing.assert_close(tap.take(), task.model.backbone(inputs)[-1])


def test_gradients_flow_through_a_tap(task, inputs):
    inputs.requires_grad_()
    with task.feature_tap() as tap:
        task.logits(inputs)
    tap.take().sum().backward()
    assert inputs.grad.abs().sum() > 0


def test_unknown_layers_list_near_names(task):
    with pytest.raises(ValueError, match=r"ImageClassifier has no layer 'backbone\.stag1'; did you mean .*stage1"):
        task.feature_tap('backbone.stag1')


def test_taps_leave_no_hook(task, inputs):
    tap = task.feature_tap()
    assert count_hooks(task.model) == 0
    with tap:
        assert count_hooks(task.model) == 1
        task.logits(inputs)
    assert count_hooks(task.model) == 0
    with pytest.raises(ZeroDivisionError), tap:
        _ = 1 / 0
    assert count_hooks(task.model) == 0


def test_a_tap_forgets(task, inputs):
    tap = task.feature_tap()
    with tap:
        task.logits(inputs)
    tap.take()
    with pytest.raises(RuntimeError, match=r"the layer 'head.fc' of the model \(Linear\) did not run"):
        tap.take()
    with tap:
        task.logits(inputs)
    with tap:
        pass
    with pytest.raises(RuntimeError, match='did not run'):
        tap.take()


def test_side_of_a_tap(task, inputs):
    with FeatureTap(task.model, 'backbone.stage2', 'input') as tap:
        task.logits(inputs)
    torch.testing.assert_close(tap.take(), task.model.backbone.stage1(inputs))


def test_the_last_linear_layer_of_a_deep_head(make_classifier):
    head = dict(type='StackedLinearClsHead', num_classes=5, in_channels=16, mid_channels=[12])
    task = task_of(make_classifier(head=head))
    assert task.classifier == 'head.layers.1.fc'
    assert task.feature_tap().module.in_features == 12


def test_a_head_without_a_linear_layer_says_what_to_do(make_classifier, inputs):
    model = make_classifier().eval()
    model.head.fc = nn.Identity()
    task = task_of(model)
    for layer in (None, 'logits'):
        with pytest.raises(ValueError, match=r'LinearClsHead ends in no linear layer.*feature_layer'):
            task.feature_tap(layer)
    with task.feature_tap('neck') as tap:
        model.extract_feat(inputs)
    assert tap.take().shape == (6, 16)


def test_a_backbone_that_classifies_itself(make_classifier):
    """LeNet, AlexNet, VGG and Inception end in the classifier; their head hands its scores on."""
    from mmpretrain.models import LeNet5

    backbone = LeNet5(num_classes=5)
    backbone.features[0] = nn.Conv2d(3, 6, 5)
    model = make_classifier(backbone=backbone, neck=nn.Identity(), head=dict(type='ClsHead')).eval()
    task = task_of(model)
    assert (task.classifier, task.num_classes) == ('backbone.classifier.2', 5)
    inputs = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with task.feature_tap() as features, task.feature_tap('logits') as scores:
        logits = task.logits(inputs)
    last = backbone.classifier[2]
    assert logits.shape == (2, 5) and torch.equal(scores.take(), logits)
    torch.testing.assert_close(F.linear(features.take(), last.weight, last.bias), logits)


def test_class_features(task, image_batch):
    vectors, labels = task.class_features(torch.arange(12.0).view(6, 2), image_batch.samples)
    assert torch.equal(vectors, torch.arange(12.0).view(6, 2))
    assert labels.tolist() == [0, 1, 2, 3, 4, 0]
    maps = torch.arange(6 * 2 * 4.0).view(6, 2, 2, 2)
    vectors, _ = task.class_features(maps, image_batch.samples)
    assert vectors[0].tolist() == [1.5, 5.5] and vectors.shape == (6, 2)
    tokens = torch.arange(24.0).view(6, 2, 2)
    assert task.class_features(tokens, image_batch.samples)[0][0].tolist() == [0.5, 2.5]


# --- ground truth ---------------------------------------------------------------------------------------------------


def test_labels(task, image_batch, make_samples):
    assert task.labels(image_batch.samples, torch.device('cpu')).tolist() == [0, 1, 2, 3, 4, 0]
    samples = make_samples(3)
    del samples[1].gt_label
    with pytest.raises(ValueError, match=r'images/1\.png has no gt_label; the pipeline must pack labels'):
        task.labels(samples, torch.device('cpu'))


def test_label_map_is_one_hot(task, image_batch):
    label_map = task.label_map(image_batch.samples, (3, 2), torch.device('cpu'))
    assert label_map.shape == (6, 5, 3, 2) and label_map.dtype == torch.float32
    for image, label in zip(label_map, image_batch.labels):
        expected = torch.zeros(5)
        expected[label] = 1
        assert torch.equal(image, expected[:, None, None].expand(5, 3, 2))


def test_number_of_classes(make_classifier):
    assert task_of(make_classifier(num_classes=7)).num_classes == 7
    model = make_classifier(num_classes=7)
    del model.head.num_classes
    assert task_of(model).num_classes == 7
    # Some heads classify with a 1x1 convolution.
    model.head.fc = nn.Conv2d(16, 9, 1)
    assert task_of(model).num_classes == 9


def test_prepared_samples_are_copies(task, image_batch):
    before = copy.deepcopy(image_batch.samples)
    prepared = task.prepare_samples(task.model.data_preprocessor, image_batch.images, image_batch.samples)
    prepared[0].set_gt_label(4)
    prepared[1].gt_label.fill_(3)
    for sample, original in zip(image_batch.samples, before):
        assert torch.equal(sample.gt_label, original.gt_label)
        assert set(sample.all_keys()) == set(original.all_keys())


def test_relabel_leaves_the_originals(task, make_samples):
    samples = make_samples(3)
    target = torch.tensor([4, 4, 0])
    relabelled = task.relabel(samples, target)
    assert [int(sample.gt_label) for sample in samples] == [0, 1, 2]
    assert [int(sample.gt_label) for sample in relabelled] == [4, 4, 0]
    assert relabelled[1].img_path == 'images/1.png'
    assert not any('gt_score' in sample for sample in relabelled)


def test_relabel_replaces_soft_labels(task, make_samples):
    """Hosts with soft labels read ``gt_score`` and ignore ``gt_label``."""
    samples = [sample.set_gt_score(torch.full((5,), 0.2)) for sample in make_samples(2)]
    relabelled = task.relabel(samples, torch.tensor([3, 0]))
    assert relabelled[0].gt_score.tolist() == [0, 0, 0, 1, 0]
    assert relabelled[1].gt_score.tolist() == [1, 0, 0, 0, 0]
    assert relabelled[0].gt_score.dtype == torch.float32
    assert samples[0].gt_score.tolist() == pytest.approx([0.2] * 5)


def test_host_losses(task, inputs, image_batch):
    losses = task.losses(inputs, image_batch.samples)
    torch.testing.assert_close(losses['loss'], F.cross_entropy(task.logits(inputs), image_batch.labels))
