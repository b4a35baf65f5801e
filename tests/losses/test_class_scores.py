"""The objectives of TRADES and MART, against versions written out with scalars."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.losses import MARTLoss, TRADESLoss
from mmadvdefense.registry import MODELS, in_root_scope

CLEAN = [[2.0, 0.5, -1.0], [0.0, 1.0, 3.0], [0.3, 0.2, 0.1]]
ADVERSARIAL = [[1.0, 1.5, 0.0], [0.5, 2.0, 1.0], [4.0, -2.0, 0.0]]
LABELS = [0, 2, 0]


def softmax(scores):
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def kl(p, q):
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q))


def trades(clean, adversarial, label):
    p, q = softmax(clean), softmax(adversarial)
    return dict(loss_trades_clean=-math.log(p[label]), loss_trades_kl=kl(p, q))


def mart(clean, adversarial, label):
    p, q = softmax(clean), softmax(adversarial)
    wrong = max(value for index, value in enumerate(q) if index != label)
    return dict(
        loss_mart_bce=-math.log(q[label]) - math.log(1 - wrong),
        loss_mart_kl=kl(p, q) * (1 - p[label]),
    )


def mean(function, labels, weights):
    rows = [row for row in zip(CLEAN, ADVERSARIAL, labels) if row[2] >= 0]
    values = [function(*row) for row in rows]
    return {name: weight * sum(value[name] for value in values) / len(rows) for name, weight in weights.items()}


CASES = {
    'TRADESLoss': (trades, dict(loss_trades_clean=1.0, loss_trades_kl=6.0)),
    'MARTLoss': (mart, dict(loss_mart_bce=1.0, loss_mart_kl=5.0)),
}


@pytest.fixture
def given(make_batch):
    def make(labels=LABELS, dtype=torch.float32):
        features = dict(
            purified_clean=torch.tensor(CLEAN, dtype=dtype, requires_grad=True),
            purified_adversarial=torch.tensor(ADVERSARIAL, dtype=dtype, requires_grad=True),
        )
        return make_batch(labels=torch.tensor(labels), class_features=features), features

    return make


def build(kind, **settings):
    return MODELS.build(in_root_scope(dict(type=kind, **settings)))


@pytest.mark.parametrize('kind', CASES)
@pytest.mark.parametrize('labels', [LABELS, [0, -100, 0]], ids=['all', 'one ignored'])
def test_by_hand(kind, labels, given):
    function, weights = CASES[kind]
    batch, features = given(labels)
    terms = build(kind).terms(batch)
    expected = mean(function, labels, weights)
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(expected, rel=1e-5)
    sum(terms.values()).backward()
    for tensor in features.values():
        assert tensor.grad.abs().sum(1).gt(0).tolist() == [label >= 0 for label in labels]


@pytest.mark.parametrize('kind', CASES)
def test_weights(kind, given):
    function, weights = CASES[kind]
    first, second = weights
    terms = build(kind, beta=2.0, loss_weight=3.0).terms(given()[0])
    expected = mean(function, LABELS, {first: 3.0, second: 6.0})
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(expected, rel=1e-5)
    assert list(build(kind, beta=0.0).terms(given()[0])) == [first]
    batch = given()[0]
    assert build(kind, loss_weight=0.0).terms(batch) == {} and not batch.asked
    assert list(TRADESLoss(clean_weight=0.0).terms(given()[0])) == ['loss_trades_kl']


@pytest.mark.parametrize('loss', [TRADESLoss(), MARTLoss()], ids=lambda loss: type(loss).__name__)
def test_extreme_scores_and_nothing_to_learn_from(loss):
    scores = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    parts = loss(scores, -scores, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(sum(parts.values()), scores)
    assert all(part.isfinite() for part in parts.values()) and gradient.isfinite().all()
    same = loss(scores, scores, torch.tensor([0]))
    assert sum(same.values()).item() == pytest.approx(0, abs=1e-6)
    ignored = loss(scores, -scores, torch.tensor([-100]))
    assert [part.item() for part in ignored.values()] == [0, 0]
    empty = loss(scores[:0], scores[:0], torch.zeros(0, dtype=torch.long))
    assert [part.item() for part in empty.values()] == [0, 0]


@pytest.mark.parametrize('kind', CASES)
def test_half_precision(kind, given):
    expected = {name: value.item() for name, value in build(kind).terms(given()[0]).items()}
    terms = build(kind).terms(given(dtype=torch.float16)[0])
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(expected, rel=1e-2)
    assert all(value.dtype == torch.float32 for value in terms.values())


@pytest.mark.parametrize('kind', CASES)
def test_what_is_no_class_score(kind, given):
    loss = build(kind)
    loss.num_classes = 64
    with pytest.raises(ValueError, match=rf"{kind} needs class scores, 64 .*length 3: .*feature_layer='logits'"):
        loss.terms(given()[0])
    loss.exclusive = False
    with pytest.raises(ValueError, match='this model decides on several labels'):
        loss.terms(given()[0])


def test_trades_is_cross_entropy_and_pytorch_s_divergence():
    clean, adversarial, labels = torch.randn(5, 7), torch.randn(5, 7), torch.arange(5)
    parts = TRADESLoss()(clean, adversarial, labels)
    torch.testing.assert_close(parts['loss_trades_clean'], F.cross_entropy(clean, labels))
    kl = F.kl_div(adversarial.log_softmax(1), clean.softmax(1), reduction='batchmean')
    torch.testing.assert_close(parts['loss_trades_kl'], kl)
