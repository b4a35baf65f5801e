"""``ignore_index`` inside the range of the classes, as with reduce_zero_label left out and class 0 as background."""

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.attacks.ensemble import EnsembleTask
from mmadvdefense.tasks import task_of

pytest.importorskip('mmseg')

SIZE = (24, 32)


@pytest.fixture(params=[0, 2])
def ignored(request):
    return request.param


@pytest.fixture
def model(ignored):
    import mmseg.models  # noqa: F401
    from mmengine.config import ConfigDict
    from mmengine.registry import MODELS

    backbone = dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, num_stages=1, out_indices=(0,))
    config = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, pad_val=0, seg_pad_val=ignored
        ),
        backbone=dict(backbone, strides=(1,), dilations=(1,), norm_cfg=dict(type='BN')),
        decode_head=dict(
            type='FCNHead',
            in_channels=8,
            in_index=0,
            channels=8,
            num_convs=1,
            num_classes=4,
            ignore_index=ignored,
            norm_cfg=dict(type='BN'),
        ),
        test_cfg=dict(mode='whole'),
    )
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmseg'):
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(config)).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        # The ignored class is what the model finds most likely on half of the pixels, and least likely on many others.
        head = model.decode_head
        head.conv_seg.weight[ignored] *= 20
        images = torch.randint(256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()
        scores = task_of(model).logits((images - 120) / 60)
        others = [k for k in range(4) if k != ignored]
        head.conv_seg.bias[ignored] -= (scores[:, ignored] - scores[:, others].amax(1)).median()
    return model


@pytest.fixture
def batch(ignored):
    from mmseg.structures import SegDataSample

    images = torch.randint(256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()
    mask = torch.arange(4).repeat_interleave(8).expand(SIZE).contiguous()
    meta = dict(img_shape=SIZE, ori_shape=SIZE)
    return images, [SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=mask[None].clone())) for _ in range(2)]


@pytest.mark.parametrize('targeted', ['random', 'least_likely', 'top_wrong'])
def test_targets_of_an_attack(targeted, model, batch, ignored):
    source, (images, samples) = AttackSource(model), batch
    attack = build_attack(dict(type='BIM', eps=8, step_size=2, steps=3, targeted=targeted))
    chosen, choose = [], attack.choose_targets
    attack.choose_targets = lambda given: chosen.append(choose(given)) or chosen[-1]
    adversarial = attack(source, images, samples, Randomness([0, 1]))
    (target,) = chosen
    labels = source.task.labels(samples, 'cpu')
    known = labels != ignored
    assert (target[~known] == ignored).all()
    assert (target[known] != ignored).all() and (target[known] != labels[known]).all()
    with torch.no_grad():
        towards = [source.task.cross_entropy(source.logits(x), target) for x in (images, adversarial)]
    assert (towards[1] < towards[0]).all()


def test_ignored_pixels_are_left_alone(model, batch, ignored):
    source, (images, samples) = AttackSource(model), batch
    for sample in samples:
        sample.gt_sem_seg.data.fill_(ignored)
    for settings in (dict(), dict(targeted='random'), dict(objective='margin')):
        attack = build_attack(dict(type='BIM', eps=8, step_size=2, steps=2, **settings))
        assert torch.equal(attack(source, images, samples, Randomness([0, 1])), images)


def test_what_the_model_says_itself_is_a_class(model, batch, ignored):
    """Labels that training predicts are never the ignored one, with which the pixel would be left out."""
    source, (images, samples) = AttackSource(model), batch
    task = source.task
    with torch.no_grad():
        logits = source.logits(images)
    assert (logits.argmax(1) == ignored).any()
    labels = torch.stack(list(task.predicted(logits, samples)))
    truth = task.labels(samples, 'cpu')
    assert (labels[truth == ignored] == ignored).all()
    assert (labels[truth != ignored] != ignored).all()
    others = [k for k in range(4) if k != ignored]
    best = torch.tensor(others)[logits[:, others].argmax(1)]
    assert torch.equal(labels[truth != ignored], best[truth != ignored])


def test_class_terms_and_scores_leave_it_out(model, batch, ignored):
    task, (_, samples) = task_of(model), batch
    _, labels = task.class_features(torch.zeros(2, 1, *SIZE), samples)
    truth = task.labels(samples, 'cpu').flatten()
    assert torch.equal(labels, truth.where(truth != ignored, -100))
    assert not task.label_map(samples, SIZE, torch.device('cpu'))[:, ignored].any()
    for sample in samples:
        said = sample.gt_sem_seg.data.clone()
        # Wrong where nothing counts.
        said[said == ignored] = 3 if ignored != 3 else 1
        sample.pred_sem_seg = PixelData(data=said)
    assert task.score_samples(samples).score.tolist() == [1, 1]


def test_an_ensemble_asks_its_models(model, ignored):
    task = task_of(model)
    classes = EnsembleTask([task, task]).target_classes(torch.zeros(2, 4, *SIZE))
    assert classes.flatten().tolist() == [k != ignored for k in range(4)]


def test_a_head_that_ignores_nothing(model, batch):
    model.decode_head.ignore_index = None
    source, (images, samples) = AttackSource(model), batch
    assert source.task.ignore_index == -100 and source.task.target_classes(torch.zeros(2, 4, *SIZE)) is None
    target = torch.zeros(2, *SIZE, dtype=torch.long)
    expected = -torch.zeros(2, 4, *SIZE).log_softmax(1)[:, 0].sum((1, 2))
    torch.testing.assert_close(source.task.cross_entropy(torch.zeros(2, 4, *SIZE), target), expected)
    adversarial = build_attack(dict(type='FGSM', eps=8))(source, images, samples, Randomness([0, 1]))
    assert (adversarial != images).any()
