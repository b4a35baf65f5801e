import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import AttackBatch, AttackSource, CleanReference, Randomness, build_attack
from mmadvdefense.attacks.objectives import build_objective, margins
from mmadvdefense.attacks.targets import least_likely_target, random_target
from mmadvdefense.pixels import stack


@pytest.fixture
def attacked(host, make_images):
    """Clean and other images of a host, as an objective meets them."""
    other = make_images(6, 3, 12, 10, seed=9) / 4
    samples = host.source.prepare_samples(host.images, host.batch.samples)
    batch = AttackBatch(
        host.source, samples, CleanReference(host.source, host.images), Randomness(0), *stack(host.images)
    )
    host.model.eval()
    return host, batch, list(other) if isinstance(host.images, list) else other


def test_cross_entropy_value(attacked):
    host, batch, images = attacked
    expected = F.cross_entropy(host.logits(images), host.labels, reduction='sum')
    torch.testing.assert_close(build_objective('cross_entropy')(images, batch), expected)
    batch.target = (host.labels + 2) % 5
    expected = -F.cross_entropy(host.logits(images), batch.target, reduction='sum')
    torch.testing.assert_close(build_objective('cross_entropy')(images, batch), expected)


def test_kl_value(attacked):
    host, batch, images = attacked
    p, q = host.logits(host.images).softmax(1), host.logits(images).softmax(1)
    expected = (p * (p / q).log()).sum()
    assert expected > 0.01
    torch.testing.assert_close(build_objective('kl')(images, batch), expected, rtol=1e-3, atol=1e-5)
    assert build_objective('kl')(host.images, batch).item() == pytest.approx(0, abs=1e-5)


def dlr_by_hand(logits, label, target=None):
    """Of one image; the scores are numbers in a list."""
    ranked = sorted(logits, reverse=True)
    if target is None:
        highest_wrong = max(score for index, score in enumerate(logits) if index != label)
        unit = ranked[0] - ranked[2] if len(logits) > 2 else 1
        return (highest_wrong - logits[label]) / unit
    lower = ranked[2:4]
    return (logits[target] - logits[label]) / (ranked[0] - sum(lower) / len(lower) if lower else 1)


@pytest.mark.parametrize('targeted', [False, True])
def test_dlr_value(attacked, targeted):
    host, batch, images = attacked
    target = (host.labels + 2) % 5
    batch.target = target if targeted else None
    values = build_objective('dlr').values(images, batch)
    expected = [
        dlr_by_hand(row.tolist(), label, target[index].item() if targeted else None)
        for index, (row, label) in enumerate(zip(host.logits(images), host.labels.tolist()))
    ]
    torch.testing.assert_close(values, torch.tensor(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('number', [2, 3])
def test_dlr_with_fewer_classes_than_its_ratios_need(number, make_classifier, make_images, make_samples):
    source, images = AttackSource(make_classifier(num_classes=number)), make_images(6, 3, 8, 8)
    samples = source.prepare_samples(images, make_samples(6, number))
    batch = AttackBatch(source, samples, CleanReference(source, images), Randomness(0), *stack(images))
    with torch.no_grad(), source.undisturbed():
        rows, labels = source.logits(images).tolist(), batch.labels.tolist()
        for target in (None, (batch.labels + 1) % number):
            batch.target = target
            values = build_objective('dlr').values(images, batch)
            targets = [None] * 6 if target is None else target.tolist()
            expected = torch.tensor([dlr_by_hand(*each) for each in zip(rows, labels, targets)])
            torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)


def test_dlr_does_not_see_the_scale_of_the_scores(attacked):
    _, batch, images = attacked
    before = build_objective('dlr').values(images, batch)
    logits = batch.source.task.logits
    batch.source.task.logits = lambda inputs: 1e3 * logits(inputs) + 7
    torch.testing.assert_close(build_objective('dlr').values(images, batch), before, rtol=1e-3, atol=1e-4)


def test_dlr_of_a_model_with_one_score_is_refused(attacked):
    _, batch, images = attacked
    logits = batch.source.task.logits
    batch.source.task.logits = lambda inputs: logits(inputs)[:, :1]
    batch.source._scores_checked = True  # the model's own prediction would not fit
    with pytest.raises(ValueError, match="'dlr' compares class scores, and ImageClassifier has only one"):
        build_objective('dlr').values(images, batch)


def test_dlr_by_pixel():
    """Summed over labelled pixels; pixels that are ignored, by the truth or as targets, do not count."""
    from types import SimpleNamespace

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, 4, generator=generator)
    labels = torch.randint(0, 5, (2, 3, 4), generator=generator)
    labels[0, 0, 0] = 255
    target = (labels + 1) % 5
    target[0, 0, 0], target[1, 2, 3] = 255, 255
    task = SimpleNamespace(fit=lambda logits, labels: logits, ignore_index=255)
    batch = SimpleNamespace(source=SimpleNamespace(task=task), labels=labels, target=None, logits=lambda images: logits)
    for goal in (None, target):
        batch.target = goal
        expected = [0.0, 0.0]
        for image, row, column in ((i, r, c) for i in range(2) for r in range(3) for c in range(4)):
            at = (image, row, column)
            if labels[at] != 255 and (goal is None or goal[at] != 255):
                scores, aim = logits[image, :, row, column].tolist(), None if goal is None else goal[at].item()
                expected[image] += dlr_by_hand(scores, labels[at].item(), aim)
        values = build_objective('dlr').values(None, batch)
        torch.testing.assert_close(values, torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_task_loss_value(attacked):
    host, batch, images = attacked
    # The host averages over the batch.
    expected = F.cross_entropy(host.logits(images), host.labels)
    torch.testing.assert_close(build_objective('task_loss')(images, batch), expected)
    batch.target = (host.labels + 2) % 5
    expected = -F.cross_entropy(host.logits(images), batch.target)
    torch.testing.assert_close(build_objective('task_loss')(images, batch), expected)


def test_task_loss_of_a_host_with_soft_labels(make_classifier, image_batch):
    model = make_classifier(
        head=dict(
            type='LinearClsHead',
            num_classes=5,
            in_channels=16,
            loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, num_classes=5),
        ),
        to_onehot=True,
    )
    source = AttackSource(model)
    samples = source.prepare_samples(image_batch.images, image_batch.samples)
    assert 'gt_score' in samples[0] and 'gt_score' not in image_batch.samples[0]
    batch = AttackBatch(
        source, samples, CleanReference(source, image_batch.images), Randomness(0), *stack(image_batch.images)
    )
    batch.target = (image_batch.labels + 1) % 5
    with source.undisturbed(), torch.no_grad():
        value = build_objective('task_loss')(image_batch.images, batch)
        log_p = source.logits(image_batch.images).log_softmax(1)
    smooth = F.one_hot(batch.target, 5) * 0.9 + 0.1 / 5
    torch.testing.assert_close(value, (smooth * log_p).sum(1).mean())


def test_losses_only_are_summed(attacked):
    """A host's accuracy is no loss, and lists of losses are averaged as MMEngine averages them."""
    _, batch, images = attacked
    batch.source.task.losses = lambda inputs, samples: {
        'loss': inputs.new_tensor(2.0),
        'loss_parts': [inputs.new_tensor([1.0, 3.0]), inputs.new_tensor(5.0)],
        'accuracy': inputs.new_tensor(100.0),
    }
    assert build_objective('task_loss')(images, batch) == 2 + 2 + 5


@pytest.mark.parametrize('objective', ['cross_entropy', 'task_loss'])
@pytest.mark.parametrize('targeted', ['random', 'least_likely', True])
def test_a_targeted_attack_comes_closer_to_its_target(host, objective, targeted, run_attack):
    config = dict(type='PGD', eps=16, step_size=3, steps=8, objective=objective, targeted=targeted)
    adversarial = run_attack(config, host.source, host.images, host.batch.samples)
    clean, after = host.logits(host.images), host.logits(adversarial)
    choose = least_likely_target if targeted == 'least_likely' else random_target
    target = choose(clean, host.labels, Randomness(list(range(6))))
    before = F.cross_entropy(clean, target, reduction='none')
    assert (F.cross_entropy(after, target, reduction='none') < before - 0.05).all()


def test_least_likely_target_by_hand():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, 2.0], [5.0, 5.0, -1.0]])
    # The true class of the second and third is the least likely one and is passed over.
    labels = torch.tensor([0, 0, 2])
    target = least_likely_target(logits, labels, Randomness(0))
    assert target[:2].tolist() == [1, 1] and target[2] in (0, 1)


@pytest.mark.parametrize('seeds', [3, list(range(4000))], ids=['one seed', 'a seed an image'])
def test_random_target_is_uniform_over_the_wrong_classes(seeds):
    labels = torch.arange(4000) % 5
    target = random_target(torch.zeros(4000, 5), labels, Randomness(seeds))
    assert (target != labels).all() and target.min() == 0 and target.max() == 4
    counts = torch.zeros(5, 5).index_put((labels, target), torch.ones(4000), accumulate=True)
    wrong = counts[~torch.eye(5, dtype=torch.bool)]
    # 200 expected in each cell; 5 standard deviations are 61.
    assert (wrong - 200).abs().max() < 61
    assert torch.equal(random_target(torch.zeros(4000, 5), labels, Randomness(seeds)), target)


def test_random_target_of_two_classes_is_the_other_one():
    labels = torch.tensor([0, 1, 1, 0])
    assert random_target(torch.zeros(4, 2), labels, Randomness(0)).tolist() == [1, 0, 0, 1]


def test_labels_are_not_needed_for_kl(tiny_classifier, make_images, run_attack):
    from mmpretrain.structures import DataSample

    images = make_images(2, 3, 8, 8)
    config = dict(type='PGD', eps=4, step_size=1, steps=2, objective='kl', random_start='normal')
    adversarial = run_attack(config, AttackSource(tiny_classifier), images, [DataSample(), DataSample()])
    assert (adversarial - images).abs().max() > 1


def test_the_reference_runs_once_and_only_if_needed(host, monkeypatch):
    calls = []
    host.model.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    reference = CleanReference(host.source, host.images)
    bim = build_attack(dict(type='BIM', eps=8, step_size=2, steps=3))
    bim(host.source, host.images, host.batch.samples, Randomness(0), reference)
    assert calls == [True] * 3
    calls.clear()
    kl = build_attack(dict(type='PGD', eps=8, step_size=2, steps=3, objective='kl'))
    kl(host.source, host.images, host.batch.samples, Randomness(0), reference)
    assert calls == [False] + [True] * 3
    assert not reference.logits.requires_grad
    assert len(calls) == 4


def test_a_reference_keeps_what_its_tap_read(host):
    tap = host.source.task.feature_tap('pre_logits')
    reference = CleanReference(host.source, host.images, tap)
    torch.testing.assert_close(reference.logits, host.logits(host.images).detach())
    head = host.model.head.fc
    torch.testing.assert_close(F.linear(reference.features, head.weight, head.bias), reference.logits)
    with pytest.raises(RuntimeError, match='without a feature tap'):
        _ = CleanReference(host.source, host.images).features


def test_the_source_steps_over_a_purifier(host):
    from torch import nn

    class Purifier(nn.Module):
        def __init__(self, native):
            super().__init__()
            self.native = native

        def forward(self, data, training=False):
            raise AssertionError('an oblivious attacker does not see the purifier')

    expected = host.logits(host.images)
    host.model.eval()
    host.model.data_preprocessor = Purifier(host.model.data_preprocessor)
    torch.testing.assert_close(AttackSource(host.model).logits(host.images), expected)


def test_margins_are_the_best_wrong_class_against_the_true_one():
    logits = torch.tensor([[1.0, 4.0, 2.0], [0.5, -1.0, 3.0]])
    torch.testing.assert_close(margins(logits, torch.tensor([0, 2])), torch.tensor([3.0, -2.5]))
    pixels = logits.T[None, :, None]  # one image, three classes, one row of two pixels
    torch.testing.assert_close(margins(pixels, torch.tensor([[[1, 255]]]), 255), torch.tensor([[[-2.0, 0.0]]]))


def test_margin_objective_stops_at_its_confidence(attacked):
    host, batch, other = attacked
    margin = margins(host.logits(other), host.labels)
    torch.testing.assert_close(build_objective('margin').values(other, batch), margin)
    bounded = build_objective(dict(type='MarginObjective', confidence=0.0))
    torch.testing.assert_close(bounded.values(other, batch), margin.clamp(max=0))
    batch.target = (host.labels + 1) % 5
    torch.testing.assert_close(
        build_objective('margin').values(other, batch), -margins(host.logits(other), batch.target)
    )


@pytest.mark.parametrize('objective', ['cross_entropy', 'kl', 'margin', 'task_loss'])
def test_values_are_those_of_each_image_alone(attacked, objective):
    _, batch, other = attacked
    batch = batch.select(range(len(batch)))
    values = build_objective(objective).values(other, batch)
    for index in range(len(batch)):
        part = batch.select([index])
        alone = build_objective(objective)(other[index : index + 1], part)
        torch.testing.assert_close(values[index], alone)
    assert batch.queries.tolist() == [1] * len(batch)
