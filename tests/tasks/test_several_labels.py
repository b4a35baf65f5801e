"""Classifiers that make several decisions on an image: by hand, and against the host."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.tasks import SeveralLabelsTask, task_of

HEADS = {
    'linear': dict(type='MultiLabelLinearClsHead', num_classes=5, in_channels=16, thr=0.4),
    'csra': dict(type='CSRAClsHead', num_classes=5, in_channels=16, num_heads=2, lam=0.1),
    'topk': dict(type='MultiLabelLinearClsHead', num_classes=5, in_channels=16, topk=2),
    'tasks': dict(
        type='MultiTaskHead',
        task_heads=dict(
            kind=dict(type='LinearClsHead', num_classes=3), tags=dict(type='MultiLabelLinearClsHead', num_classes=4)
        ),
        in_channels=16,
    ),
}
NONE = -100


@pytest.fixture
def make_host(make_classifier, make_images):
    def make(head, **settings):
        neck = nn.Identity() if head == 'csra' else None
        model = make_classifier(head=copy.deepcopy(HEADS[head]), neck=neck, **settings).eval()
        # So that every label belongs to some images and not to others.
        inputs = model.data_preprocessor(dict(inputs=make_images(20, 3, 12, 10, seed=7), data_samples=None))['inputs']
        for own in model.head.modules():
            if isinstance(getattr(own, 'fc', None), nn.Linear):
                threshold = getattr(own, 'thr', None) or 0.5
                with torch.no_grad():
                    own.fc.bias -= own.fc(model.extract_feat(inputs)[-1]).median(0).values
                    own.fc.bias += math.log(threshold / (1 - threshold))
        return model

    return make


def multi_label(*labels):
    from mmpretrain.structures import DataSample

    return [
        DataSample(metainfo=dict(img_path=f'images/{index}.png')).set_gt_label(own) for index, own in enumerate(labels)
    ]


def multi_task(*truths):
    from mmpretrain.structures import DataSample, MultiTaskDataSample

    samples = []
    for index, truth in enumerate(truths):
        sample = MultiTaskDataSample(metainfo=dict(img_path=f'images/{index}.png'))
        for name, labels in truth.items():
            sample.set_field(DataSample().set_gt_label(labels), name)
        samples.append(sample)
    return samples


# As many labels as images, which do not go together.
FOUR = ([0, 3], [], [1], [4])
TASKS = (dict(kind=2, tags=[0, 3]), dict(kind=0), dict(tags=[]), dict(kind=1, tags=[2]))


@pytest.fixture
def images(make_images):
    return make_images(4, 3, 12, 10)


def host_says(model, images):
    data = model.data_preprocessor(dict(inputs=images, data_samples=None), False)
    with torch.no_grad():
        return model.predict(data['inputs'])


def multi_hot(labels, number):
    return torch.tensor([[int(label in own) for label in range(number)] for own in labels])


# --- ground truth -----------------------------------------------------------------------------------------------------


def test_labels_go_to_their_own_images(make_host):
    task = task_of(make_host('linear'))
    assert isinstance(task, SeveralLabelsTask) and task.name == 'multi-label classification'
    assert (task.num_classes, task.dense, task.one_label) == (5, False, False)
    assert task.labels(multi_label(*FOUR), 'cpu').tolist() == [
        [1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1],
    ]
    soft = multi_label([0], [1])
    for sample in soft:
        sample.set_gt_score([0.2, 0.5, 0.9, 0.0, 1.0])
    assert task.labels(soft, 'cpu').tolist() == [[0, 1, 1, 0, 1]] * 2


def test_labels_of_several_tasks(make_host):
    task = task_of(make_host('tasks'))
    assert (task.name, task.num_classes) == ('multi-task classification', 7)
    assert task.labels(multi_task(*TASKS), 'cpu').tolist() == [
        [2, 1, 0, 0, 1],
        [0, NONE, NONE, NONE, NONE],
        [NONE, 0, 0, 0, 0],
        [1, 0, 0, 1, 0],
    ]


@pytest.mark.parametrize('head', ['linear', 'tasks'])
def test_relabel(head, make_host):
    task = task_of(make_host(head))
    samples = multi_label(*FOUR) if head == 'linear' else multi_task(*TASKS)
    before = task.labels(samples, 'cpu')
    target = (1 - before).where((before == 0) | (before == 1), before)
    relabelled = task.relabel(samples, target)
    assert torch.equal(task.labels(relabelled, 'cpu'), target)
    assert torch.equal(task.labels(samples, 'cpu'), before)
    assert relabelled[1].img_path == 'images/1.png'


def test_features_go_to_every_label(make_host):
    task = task_of(make_host('linear'))
    vectors, classes = task.class_features(torch.tensor([[1.0, 2], [3, 4]]), multi_label([0, 3], [1]))
    kept = classes != NONE
    assert vectors[kept].tolist() == [[1, 2], [1, 2], [3, 4]] and classes[kept].tolist() == [0, 3, 1]
    tasks = task_of(make_host('tasks'))
    vectors, classes = tasks.class_features(torch.tensor([[1.0], [2]]), multi_task(*TASKS[:2]))
    kept = classes != NONE
    # The second head's classes come after the three of the first.
    assert vectors[kept].flatten().tolist() == [1, 1, 1, 2] and classes[kept].tolist() == [2, 3, 6, 0]


def test_label_map(make_host):
    maps = task_of(make_host('linear')).label_map(multi_label([0, 3], []), (2, 1), torch.device('cpu'))
    assert maps.shape == (2, 5, 2, 1)
    assert maps[..., 1, 0].tolist() == [[1, 0, 0, 1, 0], [0, 0, 0, 0, 0]]
    maps = task_of(make_host('tasks')).label_map(multi_task(*TASKS), (1, 1), torch.device('cpu'))
    assert maps.flatten(1).tolist()[0] == [0, 0, 1, 1, 0, 0, 1]


def test_what_has_no_label_at_all_is_named(make_host):
    from mmpretrain.structures import DataSample, MultiTaskDataSample

    with pytest.raises(ValueError, match=r'a\.png has no gt_label or gt_score'):
        task_of(make_host('linear')).labels([DataSample(metainfo=dict(img_path='a.png'))], 'cpu')
    with pytest.raises(ValueError, match=r'a\.png has no label of the tasks kind, tags'):
        task_of(make_host('tasks')).labels([MultiTaskDataSample(metainfo=dict(img_path='a.png'))], 'cpu')


# --- class scores -----------------------------------------------------------------------------------------------------


def test_scores_by_hand(make_host, images):
    model = make_host('linear')
    source = AttackSource(model)
    with torch.no_grad():
        scores = source.logits(images)
        z = model(source.preprocess(images))
    assert scores.shape == (4, 2, 5) and not scores[:, 0].any()
    torch.testing.assert_close(scores[:, 1], z - math.log(0.4 / 0.6))


@pytest.mark.parametrize('head', HEADS)
def test_the_larger_score_is_what_the_host_says(head, make_host, images):
    model = make_host(head)
    with torch.no_grad():
        scores = AttackSource(model).logits(images)
    said = host_says(model, images)
    if head == 'tasks':
        kind = torch.stack([sample.kind.pred_label for sample in said])
        expected = torch.cat([kind, multi_hot([s.tags.pred_label.tolist() for s in said], 4)], 1)
    else:
        expected = multi_hot([sample.pred_label.tolist() for sample in said], 5)
    assert torch.equal(scores.argmax(1), expected)
    assert len(expected.unique()) > 1


def test_cross_entropy_is_the_host_s_own(make_host, images):
    """Of a threshold of one half: binary cross-entropy, summed over the labels."""
    model = make_host('linear')
    model.head.thr = 0.5
    source, samples = AttackSource(model), multi_label(*FOUR)
    with torch.no_grad():
        scores, labels = source.logits(images), source.task.labels(samples, 'cpu')
        values = source.task.cross_entropy(scores, labels)
        z = model(source.preprocess(images))
    expected = F.binary_cross_entropy_with_logits(z, labels.float(), reduction='none').sum(1)
    torch.testing.assert_close(values, expected)
    host = source.losses(images, source.prepare_samples(images, samples))['loss']
    torch.testing.assert_close(host, expected.mean())


def test_cross_entropy_of_tasks_leaves_out_what_is_not_known(make_host, images):
    model = make_host('tasks')
    source, samples = AttackSource(model), multi_task(*TASKS)
    with torch.no_grad():
        scores = source.logits(images)
        values = source.task.cross_entropy(scores, source.task.labels(samples, 'cpu'))
        out = model(source.preprocess(images))
    assert scores.shape == (4, 3, 5)
    kind = F.cross_entropy(out['kind'], torch.tensor([2, 0, 0, 1]), reduction='none')
    tags = F.binary_cross_entropy_with_logits(
        out['tags'], multi_hot([[0, 3], [], [], [2]], 4).float(), reduction='none'
    ).sum(1)
    torch.testing.assert_close(values, kind * torch.tensor([1, 1, 0, 1]) + tags * torch.tensor([1, 0, 1, 1]))


def test_targets_know_the_classes_of_each_decision(make_host, images):
    model = make_host('tasks')
    source, samples = AttackSource(model), multi_task(*TASKS)
    labels = source.task.labels(samples, 'cpu')
    for targeted in ('random', 'least_likely', 'top_wrong'):
        attack = build_attack(dict(type='BIM', eps=8, step_size=2, steps=2, targeted=targeted))
        chosen = []
        choose = attack.choose_targets
        attack.choose_targets = lambda batch, choose=choose, chosen=chosen: chosen.append(choose(batch)) or chosen[-1]
        adversarial = attack(source, images, samples, Randomness([0, 1, 2, 3]))
        assert adversarial.isfinite().all() and (adversarial != images).any()
        (target,) = chosen
        known = labels != NONE
        assert torch.equal(target[~known], labels[~known])
        assert (target != labels)[known].all()
        # Two classes of every tag.
        assert torch.equal(target[:, 1:][known[:, 1:]], 1 - labels[:, 1:][known[:, 1:]])


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('objective', ['cross_entropy', 'margin', 'kl', 'task_loss'])
def test_attacks_change_what_the_host_says(objective, head, make_host, images):
    model = make_host(head)
    source = AttackSource(model)
    with torch.no_grad():
        said = source.logits(images).argmax(1)
    samples = multi_task(*([dict(kind=0, tags=[])] * 4)) if head == 'tasks' else multi_label(*[[0]] * 4)
    samples = source.task.relabel(samples, said)
    config = dict(type='PGD', eps=24, step_size=6, steps=6, random_start='uniform', objective=objective)
    adversarial = build_attack(config)(source, images, samples, Randomness([0, 1, 2, 3]))
    with torch.no_grad():
        changed = (source.logits(adversarial).argmax(1) != said).double().mean()
    assert (adversarial - images).abs().max() <= 24 + 1e-3
    assert changed >= 0.1


@pytest.mark.parametrize(
    'attack',
    [
        dict(type='DeepFool', steps=5),
        dict(type='ALMAProx', steps=5, learning_rate=0.01),
        dict(type='PDPGD', steps=5),
        dict(type='DAG', steps=5),
        dict(type='Square', eps=16, queries=20),
        dict(type='PGD', eps=16, step_size=4, steps=3, random_start='uniform', restarts=2),
        dict(type='BIM', eps=16, step_size=4, steps=2, targeted='top_wrong', num_targets=2),
    ],
)
@pytest.mark.parametrize('head', ['linear', 'tasks'])
def test_other_attacks_run(attack, head, make_host, images):
    samples = multi_label(*FOUR) if head == 'linear' else multi_task(*TASKS)
    adversarial = build_attack(attack)(AttackSource(make_host(head)), images, samples, Randomness([0, 1, 2, 3]))
    assert adversarial.shape == images.shape and adversarial.isfinite().all() and (adversarial != images).any()


def test_attacks_on_the_class_of_an_image_are_refused(make_host, images):
    attack = build_attack(dict(type='FirstSuccess', attacks=[dict(type='FGSM', eps=8)]))
    with pytest.raises(ValueError, match='which no model for multi-label classification has'):
        attack(AttackSource(make_host('linear')), images, multi_label(*FOUR), Randomness(0))


def test_always_all_labels(make_host, images):
    model = make_host('topk')
    model.head.topk = 5
    with pytest.raises(ValueError, match='MultiLabelLinearClsHead always names all 5 labels'):
        AttackSource(model).logits(images)


def test_tasks_of_tasks(make_classifier, images):
    inner = dict(
        type='MultiTaskHead',
        task_heads=dict(kind=dict(type='LinearClsHead', num_classes=3), side=dict(type='LinearClsHead', num_classes=2)),
    )
    head = dict(type='MultiTaskHead', in_channels=16)
    head['task_heads'] = dict(outer=inner, tags=dict(type='MultiLabelLinearClsHead', num_classes=4))
    model = make_classifier(head=head).eval()
    samples = [multi_task(dict(tags=own))[0] for own in FOUR[:3] + ([],)]
    for sample, (nested,) in zip(samples, (multi_task(dict(kind=k % 3, side=k % 2)) for k in range(3))):
        sample.set_field(nested, 'outer')
    task = task_of(model)
    assert task.num_classes == 9
    assert task.labels(samples, 'cpu').tolist() == [
        [0, 0, 1, 0, 0, 1],
        [1, 1, 0, 0, 0, 0],
        [2, 0, 0, 1, 0, 0],
        [NONE, NONE, 0, 0, 0, 0],
    ]
    adversarial = build_attack(dict(type='FGSM', eps=8))(AttackSource(model), images, samples, Randomness(0))
    assert (adversarial != images).any()


# --- scores of images -------------------------------------------------------------------------------------------------


def test_score_of_an_image_is_the_f1_of_its_labels(make_host):
    task = task_of(make_host('linear'))
    samples = multi_label([0, 3], [], [1], [4], [])
    for sample, said in zip(samples, ([0, 3], [], [1, 2], [], [2])):
        sample.set_pred_label(torch.tensor(said, dtype=torch.long))
    scores = task.score_samples(samples)
    assert scores.score.tolist() == pytest.approx([1, 1, 2 / 3, 0, 0])
    assert scores.predicted is None


def test_score_of_tasks_is_the_mean_of_those_that_are_known(make_host):
    from mmpretrain.structures import DataSample

    task = task_of(make_host('tasks'))
    samples = multi_task(*TASKS)
    for sample in samples:
        for name, said in (('kind', 2), ('tags', torch.tensor([0]))):
            if name not in sample:
                sample.set_field(DataSample(), name)
            sample.get(name).set_pred_label(said)
    assert task.score_samples(samples).score.tolist() == pytest.approx([(1 + 2 / 3) / 2, 0, 0, 0])
    for name in ('kind', 'tags'):
        for key in ('gt_label', 'gt_score'):
            samples[3].get(name).pop(key, None)
    assert task.score_samples(samples).score.isnan().tolist() == [False, False, False, True]


# --- one label an image -----------------------------------------------------------------------------------------------


def test_a_head_for_one_label_refuses_several(tiny_classifier, images):
    """Four labels of four images, of which two are one image's."""
    for attack in (dict(type='FGSM', eps=8), dict(type='FGSM', eps=8, objective='task_loss')):
        with pytest.raises(ValueError, match=r'images/0\.png has 2 labels, and the model puts an image in one class'):
            build_attack(attack)(AttackSource(tiny_classifier), images, multi_label(*FOUR), Randomness(0))


def test_several_classes_of_one_task_are_refused(make_host):
    with pytest.raises(ValueError, match=r'images/0\.png: kind has several labels'):
        task_of(make_host('tasks')).labels(multi_task(dict(kind=[0, 1])), 'cpu')
