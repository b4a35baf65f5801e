"""The terms of PCL, CADA, ATDA and DDC-AT, against versions written out with scalars."""

import math

import pytest
import torch

from mmadvdefense.losses import (
    DivideAndConquerLoss,
    DomainAdaptationLoss,
    DomainDiscriminatorLoss,
    PrototypeConformityLoss,
)

CLEAN = [[2.0, 0.5, -1.0], [0.0, 1.0, 3.0], [0.3, 0.2, 0.1], [1.0, -1.0, 0.5]]
ADVERSARIAL = [[1.0, 1.5, 0.0], [0.5, 2.0, 1.0], [4.0, -2.0, 0.0], [0.0, 0.5, 0.5]]
LABELS = [0, 2, 0, 1]


def prepared(loss, num_features=3, num_classes=3):
    loss.num_features, loss.num_classes = num_features, num_classes
    torch.manual_seed(0)
    loss.prepare()
    return loss


@pytest.fixture
def batch(make_batch):
    features = dict(
        purified_clean=torch.tensor(CLEAN, requires_grad=True),
        purified_adversarial=torch.tensor(ADVERSARIAL, requires_grad=True),
    )
    return make_batch(labels=torch.tensor(LABELS), class_features=features)


def values(terms):
    return {name: value.item() for name, value in terms.items()}


def sigmoid_loss(logit, truth):
    p = 1 / (1 + math.exp(-logit))
    return -math.log(p if truth else 1 - p)


# PCL -----------------------------------------------------------------------------------------------------------------


def pcl(vectors, labels, centers, push):
    losses = []
    for vector, label in zip(vectors, labels):
        if label < 0:
            continue
        distances = [sum((a - b) ** 2 for a, b in zip(vector, center)) / 3 for center in centers]
        others = [d for j, d in enumerate(distances) if j != label]
        losses.append(distances[label] - push * sum(others) / len(others))
    return sum(losses) / len(losses)


def test_prototype_conformity_by_hand(batch):
    loss = prepared(PrototypeConformityLoss(push_weight=0.25, loss_weight=2.0))
    centers = loss.centers.tolist()
    expected = dict(
        loss_pcl_clean=2 * pcl(CLEAN, LABELS, centers, 0.25), loss_pcl_adv=2 * pcl(ADVERSARIAL, LABELS, centers, 0.25)
    )
    terms = loss.terms(batch)
    assert values(terms) == pytest.approx(expected, rel=1e-5)
    sum(terms.values()).backward()
    assert loss.centers.grad.abs().sum() > 0, 'centers learn'
    ignored = loss(torch.tensor(CLEAN), torch.tensor([0, -100, 0, -100])).item()
    assert ignored == pytest.approx(pcl(CLEAN, [0, -100, 0, -100], centers, 0.25), rel=1e-5)
    assert loss(torch.tensor(CLEAN), torch.full((4,), -100)).item() == 0
    assert prepared(PrototypeConformityLoss(loss_weight=0.0)).terms(batch) == {}


# ATDA ----------------------------------------------------------------------------------------------------------------


def covariance(vectors):
    mean = [sum(column) / len(vectors) for column in zip(*vectors)]
    centred = [[a - m for a, m in zip(vector, mean)] for vector in vectors]
    size = range(len(mean))
    return [[sum(v[i] * v[j] for v in centred) / (len(vectors) - 1) for j in size] for i in size]


def atda(centers):
    means = [[sum(column) / 4 for column in zip(*half)] for half in (CLEAN, ADVERSARIAL)]
    mmd = sum(abs(a - b) for a, b in zip(*means)) / 3
    left, right = covariance(CLEAN), covariance(ADVERSARIAL)
    coral = sum(abs(a - b) for x, y in zip(left, right) for a, b in zip(x, y)) / 9
    margins = []
    for vector, label in zip(CLEAN + ADVERSARIAL, LABELS + LABELS):
        distances = [sum(abs(a - b) for a, b in zip(vector, center)) for center in centers]
        margins += [math.log1p(math.exp(distances[label] - d)) for j, d in enumerate(distances) if j != label]
    return dict(loss_atda_mmd=mmd, loss_atda_coral=coral, loss_atda_margin=sum(margins) / len(margins))


def test_domain_adaptation_by_hand(batch):
    loss = prepared(DomainAdaptationLoss())
    loss.centers.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 1.0]]))
    before = loss.centers.tolist()
    expected = {name: value / 3 for name, value in atda(before).items()}
    terms = loss.terms(batch)
    assert values(terms) == pytest.approx(expected, rel=1e-5)
    moved = []
    for label, center in enumerate(before):
        own = [v for v, y in zip(CLEAN + ADVERSARIAL, LABELS + LABELS) if y == label]
        change = [sum(c - v[i] for v in own) / (1 + len(own)) for i, c in enumerate(center)]
        moved.append([c - 0.1 * d for c, d in zip(center, change)])
    torch.testing.assert_close(loss.centers, torch.tensor(moved))
    sum(terms.values()).backward()
    assert 'centers' in loss.state_dict() and not list(loss.parameters())


# CADA ----------------------------------------------------------------------------------------------------------------


def test_domain_discriminator_by_hand(batch):
    loss = prepared(DomainDiscriminatorLoss(hidden=5))
    first, _, last = loss.discriminator

    def logit(vector, label):
        inputs = vector + [float(label == k) for k in range(3)]
        hidden = [
            sum(w * x for w, x in zip(row, inputs)) + b for row, b in zip(first.weight.tolist(), first.bias.tolist())
        ]
        hidden = [h if h > 0 else 0.2 * h for h in hidden]
        return sum(w * h for w, h in zip(last.weight[0].tolist(), hidden)) + last.bias.item()

    clean = [logit(*pair) for pair in zip(CLEAN, LABELS)]
    adversarial = [logit(*pair) for pair in zip(ADVERSARIAL, LABELS)]
    told = (sum(sigmoid_loss(x, True) for x in clean) + sum(sigmoid_loss(x, False) for x in adversarial)) / 8
    expected = dict(loss_cada_model=sum(sigmoid_loss(x, True) for x in adversarial) / 4, loss_cada_discriminator=told)
    terms = loss.terms(batch)
    assert values(terms) == pytest.approx(expected, rel=1e-5)
    features = batch._tensors['class_features']
    # The model's side moves the model alone, the discriminator's side the discriminator alone.
    terms['loss_cada_model'].backward(retain_graph=True)
    assert features['purified_adversarial'].grad.abs().sum() > 0 and features['purified_clean'].grad is None
    assert all(parameter.grad is None for parameter in loss.parameters())
    features['purified_adversarial'].grad = None
    terms['loss_cada_discriminator'].backward()
    assert all(tensor.grad is None for tensor in features.values())
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())


# DDC-AT --------------------------------------------------------------------------------------------------------------


def softmax_loss(scores, label):
    return math.log(sum(math.exp(score) for score in scores)) - scores[label]


def test_divide_and_conquer_by_hand(make_batch):
    loss = prepared(DivideAndConquerLoss(), num_features=3, num_classes=2)
    logits = dict(
        purified_clean=torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.0, 3.0]]),
        purified_adversarial=torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.1, 0.0], [4.0, 0.0]]),
    )
    features = dict(purified_clean=torch.tensor(CLEAN), purified_adversarial=torch.tensor(ADVERSARIAL))
    labels = [0, 1, -100, 1]
    batch = make_batch(labels=torch.tensor(labels), class_features=features)
    batch.at = lambda layer: {'logits': make_batch(class_features=logits)}[layer]
    # One pixel of the clean image and two of the adversarial one go to the second classifier.
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.zero_()
        loss.mask[0].weight.copy_(torch.eye(3))
        loss.mask[2].weight[1] = torch.tensor([0.0, 1.0, -0.9])
        loss.second[2].bias.copy_(torch.tensor([0.25, 0.75]))
    masks = {half: [[0.0, max(v[1], 0) - 0.9 * max(v[2], 0)] for v in rows] for half, rows in
             (('clean', CLEAN), ('adv', ADVERSARIAL))}  # fmt: skip
    chosen = {half: [mask[1] > mask[0] for mask in rows] for half, rows in masks.items()}
    assert chosen == dict(clean=[True, False, True, False], adv=[True, True, False, True])
    decided = {
        half: [[0.25, 0.75] if second else own for second, own in zip(chosen[half], logits[name].tolist())]
        for half, name in (('clean', 'purified_clean'), ('adv', 'purified_adversarial'))
    }
    changed = [int((a[1] > a[0]) != (b[1] > b[0])) for a, b in zip(decided['clean'], decided['adv'])]
    truths = dict(clean=changed, adv=[0, 0, 0, 0])

    def mean(losses):
        return sum(losses) / len(losses)

    expected = dict(
        loss_ddc_at=mean(
            [mean([softmax_loss(s, y) for s, y in zip(decided[half], labels) if y >= 0]) for half in decided]
        ),
        loss_ddc_at_mask=mean(
            [mean([softmax_loss(s, y) for s, y in zip(masks[half], truths[half])]) for half in decided]
        ),
    )
    assert values(loss.terms(batch)) == pytest.approx(expected, rel=1e-5)
    assert 0 < sum(changed) < 4


@pytest.mark.parametrize(
    'kind', [PrototypeConformityLoss, DomainAdaptationLoss, DomainDiscriminatorLoss, DivideAndConquerLoss]
)
def test_what_has_to_be_known(kind):
    loss = kind()
    with pytest.raises(ValueError, match=f'{kind.__name__} needs the length of its feature vectors: set num_features'):
        loss.prepare()
    loss.exclusive = False
    with pytest.raises(ValueError, match='needs one class per image, pixel or box'):
        loss.prepare()
