"""The task follows from what a model is, not from its package, and the other models are refused in one line."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.tasks import ClassificationTask, UnscoredTask, task_of
from mmadvdefense.tasks.sample_scores import NotScored
from mmadvdefense.threats.checks import check_num_classes, check_same_classes

FGSM = dict(type='FGSM', eps=8)


class Network(nn.Module):
    """What timm and transformers give: a network that classifies by itself."""

    def __init__(self, num_classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images):
        return self.fc(self.stem(images).relu().mean((2, 3)))


class Timm(Network):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.num_classes = num_classes


class Transformer(Network):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.num_labels = num_classes

    def forward(self, images):
        return SimpleNamespace(logits=super().forward(images))


def package(monkeypatch, name, **contents):
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def build(cls, *args, **settings):
    """The host's class, also where the library that it asks for is not installed."""
    model = cls.__new__(cls)
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(0)
        getattr(cls.__init__, '__wrapped__', cls.__init__)(model, *args, **settings)
    return model


@pytest.fixture(params=['timm', 'transformers'])
def foreign(request, monkeypatch):
    """MMPretrain's own class around a network of another library."""
    from mmpretrain.models import HuggingFaceClassifier, TimmClassifier

    native = dict(mean=[120.0] * 3, std=[60.0] * 3)
    if request.param == 'timm':
        package(monkeypatch, 'timm')
        package(monkeypatch, 'timm.models', create_model=lambda name, num_classes: Timm(num_classes))
        return build(TimmClassifier, 'tiny', num_classes=5, data_preprocessor=native).eval()
    package(
        monkeypatch,
        'transformers',
        AutoConfig=SimpleNamespace(from_pretrained=lambda name: 5),
        AutoModelForImageClassification=SimpleNamespace(from_config=Transformer),
    )
    return build(HuggingFaceClassifier, 'tiny', data_preprocessor=native).eval()


def test_models_of_other_libraries_are_classifiers(foreign, image_batch):
    task = task_of(foreign)
    assert isinstance(task, ClassificationTask) and task.num_classes == 5
    assert task.classifier == 'model.fc'
    source, images = AttackSource(foreign), image_batch.images
    with torch.no_grad():
        inputs = source.preprocess(images)
        scores = source.logits(images)
        pooled = foreign.model.stem(inputs).relu().mean((2, 3))
    torch.testing.assert_close(scores, foreign.model.fc(pooled))
    with task.feature_tap() as tap, torch.no_grad():
        task.reference(inputs)
    torch.testing.assert_close(tap.take(), pooled)
    for objective in ('cross_entropy', 'task_loss'):
        attack = build_attack(dict(FGSM, objective=objective))
        adversarial = attack(source, images, image_batch.samples, Randomness(0))
        with torch.no_grad():
            before, after = (task.cross_entropy(source.logits(x), image_batch.labels) for x in (images, adversarial))
        assert after.sum() > before.sum()


def test_a_model_of_another_library_without_a_linear_layer(foreign):
    foreign.model.fc = nn.Identity()
    foreign.model.num_classes = foreign.model.num_labels = None
    message = r'the model (Timm|HuggingFace)Classifier ends in no linear layer.*feature_layer'
    with pytest.raises(ValueError, match=message):
        task_of(foreign).feature_tap()


# --- models without class scores --------------------------------------------------------------------------------------


BACKBONE = dict(type='ResNet_CIFAR', depth=18)


def self_supervised():
    predictor = dict(type='LinearNeck', in_channels=8, out_channels=8)
    head = dict(type='LatentPredictHead', loss=dict(type='CosineSimilarityLoss'), predictor=predictor)
    return dict(type='SimSiam', backbone=BACKBONE, head=head)


def retriever():
    return dict(type='ImageToImageRetriever', image_encoder=BACKBONE, prototype=torch.ones(2, 8))


def headless():
    return dict(type='ImageClassifier', backbone=BACKBONE)


def build_depth_estimator():
    pytest.importorskip('mmseg')
    import mmseg.models  # noqa: F401

    backbone = dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, num_stages=1, out_indices=(0,))
    config = dict(
        type='DepthEstimator',
        backbone=dict(backbone, strides=(1,), dilations=(1,)),
        decode_head=dict(type='FCNHead', in_channels=8, in_index=0, channels=8, num_convs=1, num_classes=4),
        data_preprocessor=dict(type='SegDataPreProcessor'),
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(config)


def build_tracker():
    pytest.importorskip('mmdet')
    from mmdet.models.mot import BaseMOTModel

    class Tracker(BaseMOTModel):
        def loss(self, inputs, data_samples):
            raise NotImplementedError

        predict = loss

    return Tracker(data_preprocessor=dict(type='mmdet.DetDataPreprocessor'))


def build_mmpretrain(config):
    import mmpretrain.models  # noqa: F401

    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(0)
        return MODELS.build(config())


WITHOUT = {
    'self_supervised': (lambda: build_mmpretrain(self_supervised), 'SimSiam learns without labels'),
    'retriever': (lambda: build_mmpretrain(retriever), 'ImageToImageRetriever retrieves similar images'),
    'headless': (lambda: build_mmpretrain(headless), 'ImageClassifier was built without a head'),
    'depth': (build_depth_estimator, 'DepthEstimator estimates depth'),
    'tracker': (build_tracker, 'Tracker tracks objects from frame to frame'),
}


@pytest.mark.parametrize('kind', WITHOUT)
def test_models_without_class_scores_are_refused_in_one_line(kind, image_batch):
    build_it, message = WITHOUT[kind]
    model = build_it()
    task = task_of(model)
    assert isinstance(task, UnscoredTask) and task.num_classes is None
    message = rf'^{message}, so it has no class scores to attack or to defend; take a classifier.*$'
    for use in (
        lambda: build_attack(FGSM)(AttackSource(model), image_batch.images, image_batch.samples, Randomness(0)),
        lambda: AttackSource(model).check_scores(image_batch.images),
        lambda: task.feature_tap(),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    with pytest.raises(NotScored, match='so its images are not scored'):
        task.score_samples(image_batch.samples)
    # Its clean test is the host's affair.
    check_num_classes(model, SimpleNamespace(metainfo=dict(classes=('a', 'b'))))


def test_a_model_without_classes_is_no_source(tiny_classifier):
    headless_model = build_mmpretrain(headless)
    for source, target in ((headless_model, tiny_classifier), (tiny_classifier, headless_model)):
        with pytest.raises(ValueError, match='ImageClassifier (has no head and )?predicts no classes'):
            check_same_classes(source, target)
