"""Objectives on candidate boxes: values by hand, and what they refuse."""

from types import SimpleNamespace

import pytest
import torch

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.attacks.objectives import build_objective
from mmadvdefense.tasks import ClassificationTask, DetectionTask
from mmadvdefense.tasks.detections.candidates import Candidates
from mmadvdefense.tasks.detections.objects import object_scores
from mmadvdefense.tasks.detections.tables import table_of

# Two objects of class 0 and one of class 1 in the first image, none in the second.
OBJECTS = table_of(
    [torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]), torch.zeros(0, 4)],
    [torch.tensor([0, 0, 1]), torch.zeros(0, dtype=torch.long)],
)
# Places 0 to 2 lie on the objects, place 3 on the first one with an IoU of 0.5, place 4 on none, place 5 in the other
# image. Each has a score for each of three classes.
BOXES = torch.tensor(
    [[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [0, 0, 10, 5], [80, 0, 90, 10], [0, 0, 10, 10]]
)
SCORES = torch.tensor(
    [[0.8, 0.1, 0.05], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.5, 0.2, 0.1], [0.9, 0.1, 0.1], [0.4, 0, 0]]
)


def candidates(scores=SCORES):
    rows = torch.arange(scores.numel())
    return Candidates(
        boxes=BOXES.repeat_interleave(3, 0),
        labels=rows % 3,
        image=(rows >= 15).long(),
        counts=(15, 3),
        scores=scores.flatten(),
    )


def batch(target=None):
    task = SimpleNamespace(num_classes=3, score_threshold=0.2, label_counts=lambda samples: [3, 0])
    target = None if target is None else torch.tensor(target)
    return SimpleNamespace(
        objects=OBJECTS, labels=OBJECTS.labels, target=target, source=SimpleNamespace(task=task), samples=None
    )


def value(objective, target=None):
    return build_objective(objective).value(candidates(), batch(target))


def test_vanish():
    assert value('vanish').tolist() == pytest.approx([torch.log1p(-SCORES)[:5].sum().item(), 0])


@pytest.mark.parametrize(('objective', 'threshold'), [('latency', 0.2), ('fabricate', 0.3)])
def test_boxes_are_counted_softly(objective, threshold):
    odds = (SCORES / (1 - SCORES)).double()
    expected = odds / (odds + threshold / (1 - threshold))
    assert value(objective).tolist() == pytest.approx([expected[:5].sum().item(), expected[5].sum().item()], rel=1e-5)
    # A box at the threshold is one half.
    config = dict(type=f'{objective.capitalize()}Objective', threshold=0.4)
    assert value(config)[1].item() == pytest.approx(0.5)


def test_mislabel():
    # The first object to class 2, the second stays, the third to class 0; two places lie on the first object.
    log, opposite = SCORES.log(), torch.log1p(-SCORES)
    first = sum(log[place, 2] + opposite[place, 0] + opposite[place, 1] for place in (0, 3)) / 2
    third = log[2, 0] + opposite[2, 1] + opposite[2, 2]
    assert value('mislabel', [2, 0, 0]).tolist() == pytest.approx([(first + third).item(), 0])


def test_scores_of_objects_are_those_of_their_best_box():
    found = object_scores(candidates(), OBJECTS, 3).exp()
    torch.testing.assert_close(found, torch.stack([SCORES[[0, 3]].amax(0), SCORES[1], SCORES[2]]))
    nothing = table_of([torch.tensor([[70.0, 70, 75, 75]]), torch.zeros(0, 4)], [torch.tensor([0]), OBJECTS.labels[:0]])
    assert object_scores(candidates(), nothing, 3).exp().max() < 1e-30


def test_class_wise_counts_every_class_once():
    log, opposite = SCORES.log(), torch.log1p(-SCORES)
    losses = [-(log[place, own] + opposite[place].sum() - opposite[place, own]) for place, own in enumerate([0, 0, 1])]
    half = -(log[3, 0] + opposite[3, 1] + opposite[3, 2])
    expected = ((losses[0] + half) / 2 + losses[1]) / 2 + losses[2]
    assert value(dict(type='ClassWiseObjective', part='cls')).tolist() == pytest.approx([expected.item(), 0])
    # One of the boxes on the first object has an IoU of one half.
    assert value(dict(type='ClassWiseObjective', part='loc')).tolist() == pytest.approx([0.5 / 2 / 2, 0])
    assert value('cwa')[0].item() == pytest.approx(expected.item() + 0.125)


def test_dag_is_about_proposals_that_are_right():
    # Place 1 has another best class, place 2 is right, place 0 and 3 are right; targets 1, 2, 0.
    log = SCORES.log()
    expected = sum((log[place, 1] - log[place, 0]).item() for place in (0, 3)) + (log[2, 0] - log[2, 1]).item()
    assert value(dict(type='ProposalObjective'), [1, 2, 0]).tolist() == pytest.approx([expected, 0])


def test_dag_scales_to_the_largest_value():
    attack = build_attack(dict(type='DetectionDAG', eps=8))
    gradient = torch.tensor([[[[2.0, -4.0]]], [[[0.0, 0.0]]]])
    assert attack.direction(gradient, {}).tolist() == [[[[0.5, -1.0]]], [[[0.0, 0.0]]]]
    assert attack.describe() == 'DetectionDAG (L-inf 8, 150 steps, target class: random)'


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='MislabelObjective', target='other'), 'unknown target'),
        (dict(type='LatencyObjective', threshold=1.5), 'threshold is a score'),
        (dict(type='ClassWiseObjective', part='all'), 'part must be'),
    ],
)
def test_wrong_settings(config, message):
    with pytest.raises(ValueError, match=message):
        build_objective(config)


def test_dag_has_its_own_objective():
    with pytest.raises(ValueError, match='has an objective of its own'):
        build_attack(dict(type='DetectionDAG', eps=8, objective='cls'))


@pytest.mark.parametrize('objective', ['vanish', 'fabricate', 'mislabel', 'latency', 'cwa', 'untargeted'])
def test_other_tasks_are_refused(objective):
    task = ClassificationTask.__new__(ClassificationTask)
    with pytest.raises(ValueError, match='PGD.* for detectors'):
        build_objective(objective).check_task('PGD', task)


def test_detectors_without_class_scores_are_refused():
    task = DetectionTask(SimpleNamespace())
    with pytest.raises(ValueError, match="are not known: use objective='cls', 'loc' or 'cls\\+loc'"):
        build_objective('vanish').check_task('PGD', task)


def _check(objective, **facts):
    facts = {'num_classes': 3, 'score_threshold': 0.05, 'noun': 'detector', **facts}
    task = SimpleNamespace(require_candidates=lambda user: None, **facts)
    build_objective(objective).check_task('PGD', task)


def test_what_the_model_lacks():
    _check('latency')
    with pytest.raises(ValueError, match='keeps a fixed number of boxes'):
        _check('latency', score_threshold=None)
    _check(dict(type='LatencyObjective', threshold=0.1), score_threshold=None)
    with pytest.raises(ValueError, match='the model has one class'):
        _check('mislabel', num_classes=1)


def test_a_target_class_that_does_not_exist(make_light_ssd):
    source = AttackSource(make_light_ssd())
    attack = build_attack(
        dict(type='PGD', eps=8, step_size=2, steps=1, objective=dict(type='MislabelObjective', target=3))
    )
    assert 'target class: class 3' in attack.describe()
    with pytest.raises(ValueError, match='there is no target class 3; the model has 3 classes, 0 to 2'):
        attack.check_source(source)


@pytest.mark.parametrize('objective', ['vanish', 'fabricate', 'mislabel', 'mislabel_least', 'latency', 'cwa', 'dag'])
def test_on_a_detector(objective, make_light_ssd, make_det_samples):
    """Each raises its own value inside the budget; where there is nothing to hide, the image stays as it is."""
    source = AttackSource(make_light_ssd())
    images = 255 * torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    samples = make_det_samples([[[8.0, 8, 40, 40]], [], [[20.0, 4, 60, 30], [4, 30, 34, 60]]])
    config = dict(type='PGD', eps=8, step_size=2, steps=3, objective=objective)
    if objective == 'dag':
        config = dict(type='DetectionDAG', eps=8, step_size=2, steps=3, targeted='top_wrong')
    attack = build_attack(config)
    seen = []
    values = attack.objective.value
    attack.objective.value = lambda found, batch: seen.append(values(found, batch)) or seen[-1]
    state = {key: tensor.clone() for key, tensor in source.model.state_dict().items()}
    result = attack.run(source, images, samples, Randomness([0, 1, 2]))
    assert all(torch.equal(tensor, state[key]) for key, tensor in source.model.state_dict().items())
    assert (result.images - images).abs().amax() <= 8 + 1e-3 and result.queries.tolist() == [3, 3, 3]
    about_objects = objective not in ('fabricate', 'latency')
    assert torch.equal(result.images[1], images[1]) == about_objects
    changed = (result.images - images).abs().amax((1, 2, 3)) > 0
    assert changed[[0, 2]].any()
    if objective != 'dag':
        assert (seen[-1] >= seen[0] - 1e-4)[changed].all() and (seen[-1] > seen[0]).any()
    alone = build_attack(config).run(source, images[2:], samples[2:], Randomness([2]))
    assert ((alone.images[0] - result.images[2]).abs() < 1e-2).float().mean() > 0.98
