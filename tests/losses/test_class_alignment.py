import pytest
import torch

from mmadvdefense.losses import ClassAlignmentLoss

NAMES = ('loss_align', 'loss_inter', 'loss_intra')


def by_loops(clean, adv, labels, margin, hinge, ignore_index=-100):
    """The definition, class by class."""
    members = {k: labels == k for k in labels.tolist() if k != ignore_index}
    centres = {k: adv[mask].mean(0) for k, mask in members.items()}
    zero = adv.sum() * 0
    align = sum(((clean[mask].mean(0) - centres[k]).abs().mean() for k, mask in members.items()), zero)
    intra = sum(((adv[mask] - centres[k]).abs().mean() for k, mask in members.items()), zero)
    inter = zero
    for k in centres:
        for i in centres:
            if k != i:
                gap = margin - (centres[k] - centres[i]).abs().mean()
                inter = inter + (gap.clamp(min=0) if hinge else gap)
    return dict(loss_align=align, loss_inter=inter, loss_intra=intra)


def sample(num_classes=6, n=40, length=7):
    generator = torch.Generator().manual_seed(0)
    clean, adv = torch.randn(2, n, length, generator=generator, dtype=torch.float64)
    labels = torch.randint(num_classes, (n,), generator=generator)
    return clean, adv.requires_grad_(), labels


@pytest.mark.parametrize('num_classes', [None, 10])
def test_parity(reference, num_classes):
    adv = reference['cls_adv'].clone().requires_grad_()
    loss = ClassAlignmentLoss(margin=reference['cls_margin'].item(), num_classes=num_classes)
    parts = loss(reference['cls_clean'], adv, reference['cls_labels'])
    for name in NAMES:
        torch.testing.assert_close(parts[name], reference[name.replace('loss', 'cls')], rtol=1e-5, atol=0)
    total = 0.1 * parts['loss_align'] + parts['loss_intra'] + 0.005 * parts['loss_inter']
    (grad,) = torch.autograd.grad(total, adv)
    expected = reference['cls_weighted_grad_adv']
    torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


# A margin of 0.55 lies among the distances: it cuts some pairs and not others.
@pytest.mark.parametrize('num_classes', [None, 6, 1000])
@pytest.mark.parametrize('hinge, margin', [(True, 0.55), (False, 0.55), (True, 5.0)])
@pytest.mark.parametrize('ignore_index', [-100, 3])
def test_equals_plain_loops(num_classes, hinge, margin, ignore_index):
    clean, adv, labels = sample()
    loss = ClassAlignmentLoss(margin, hinge, num_classes=num_classes, ignore_index=ignore_index)
    parts = loss(clean, adv, labels)
    expected = by_loops(clean, adv, labels, margin, hinge, ignore_index)
    assert tuple(parts) == NAMES
    for name in NAMES:
        torch.testing.assert_close(parts[name], expected[name], rtol=1e-12, atol=1e-12)
        grads = [torch.autograd.grad(value[name], adv, retain_graph=True)[0] for value in (parts, expected)]
        torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


def test_hinge_cuts_some_pairs_only():
    clean, adv, labels = sample()
    with_hinge, without = (ClassAlignmentLoss(0.55, hinge)(clean, adv, labels) for hinge in (True, False))
    assert (
        with_hinge['loss_inter']
        > without['loss_inter']
        > ClassAlignmentLoss(0.0, False)(clean, adv, labels)['loss_inter']
    )
    assert with_hinge['loss_inter'] < ClassAlignmentLoss(5.0)(clean, adv, labels)['loss_inter']


def test_values_by_hand():
    clean = torch.tensor([[0.0, 0.0], [2.0, 2.0], [4.0, 0.0]])
    adv = torch.tensor([[0.0, 1.0], [2.0, 3.0], [1.0, 0.0]])
    parts = ClassAlignmentLoss(margin=5.0)(clean, adv, torch.tensor([7, 7, 2]))
    # centres: class 7 (1, 1) to (1, 2), class 2 (4, 0) to (1, 0)
    assert {name: value.item() for name, value in parts.items()} == {
        'loss_align': 0.5 + 1.5,
        'loss_inter': 2 * (5 - 1.0),
        'loss_intra': 1.0 + 0.0,
    }


@pytest.mark.parametrize('num_classes', [None, 10])
@pytest.mark.parametrize('labels', [[], [-100, -100]])
def test_nothing_to_align_is_zero_with_a_gradient(num_classes, labels):
    adv = torch.randn(len(labels), 4, requires_grad=True)
    parts = ClassAlignmentLoss(num_classes=num_classes)(torch.randn(len(labels), 4), adv, torch.tensor(labels).long())
    assert [value.item() for value in parts.values()] == [0.0] * 3
    sum(parts.values()).backward()
    assert adv.grad.shape == adv.shape and not adv.grad.any()


def test_single_class_has_no_pairs():
    adv = torch.randn(3, 4, requires_grad=True)
    parts = ClassAlignmentLoss()(torch.randn(3, 4), adv, torch.ones(3).long())
    assert parts['loss_inter'].item() == 0
    parts['loss_inter'].backward()
    assert not adv.grad.any()


def test_half_precision_is_summed_in_full():
    adv = torch.full((5000, 1), 1.0).half()
    parts = ClassAlignmentLoss()(torch.zeros(5000, 1).half(), adv, torch.zeros(5000).long())
    assert parts['loss_align'].item() == 1.0


def test_terms_are_weighted(make_batch):
    clean, adv, labels = sample()
    batch = make_batch(labels, class_features=dict(clean=clean, purified_adversarial=adv))
    loss = ClassAlignmentLoss(align_weight=2.0, inter_weight=3.0, intra_weight=4.0, loss_weight=10.0)
    terms, parts = loss.terms(batch), loss(clean, adv, labels)
    for name, weight in zip(NAMES, (20, 30, 40)):
        torch.testing.assert_close(terms[name], weight * parts[name])


def test_zero_weights_are_not_computed(make_batch):
    _, adv, labels = sample()
    without_clean = make_batch(labels, class_features=dict(purified_adversarial=adv))
    loss = ClassAlignmentLoss(align_weight=0.0, inter_weight=0.0)
    assert list(loss.terms(without_clean)) == ['loss_intra']
    assert ClassAlignmentLoss(loss_weight=0.0).terms(make_batch()) == {}


def test_guide_is_an_argument(make_batch):
    clean, adv, labels = sample()
    batch = make_batch(labels, class_features=dict(purified_clean=clean, purified_adversarial=adv))
    assert 'loss_align' in ClassAlignmentLoss(guide='purified_clean').terms(batch)
    with pytest.raises(ValueError, match="guide='noise'.*purified_clean"):
        ClassAlignmentLoss(guide='noise')


# Reductions ----------------------------------------------------------------------------------------------------------

THREE = torch.tensor([[0.0, 0.0], [2.0, 2.0], [6.0, 0.0]])


@pytest.mark.parametrize(
    ('margin', 'hinge', 'total'),
    # distances 2, 3 and 3, each counted in both orders
    [(5.0, True, 2 * (3 + 2 + 2)), (2.5, False, 2 * (0.5 - 0.5 - 0.5)), (2.5, True, 2 * 0.5)],
)
def test_mean_over_pairs_by_hand(margin, hinge, total):
    values = {
        reduction: ClassAlignmentLoss(margin, hinge, pair_reduction=reduction)(THREE, THREE, torch.arange(3))
        for reduction in ('sum', 'mean')
    }
    assert values['sum']['loss_inter'].item() == pytest.approx(total)
    assert values['mean']['loss_inter'].item() == pytest.approx(total / 6)
    for name in ('loss_align', 'loss_intra'):
        assert values['sum'][name] == values['mean'][name]


def test_mean_over_pairs_against_the_reference(reference):
    loss = ClassAlignmentLoss(margin=reference['cls_margin'].item(), pair_reduction='mean', num_classes=10)
    parts = loss(reference['cls_clean'], reference['cls_adv'], reference['cls_labels'])
    present = len(reference['cls_labels'].unique())
    expected = reference['cls_inter'] / (present * (present - 1))
    torch.testing.assert_close(parts['loss_inter'], expected, rtol=1e-5, atol=0)


def test_mean_over_pairs_without_a_pair():
    adv = torch.randn(3, 4, requires_grad=True)
    parts = ClassAlignmentLoss(pair_reduction='mean')(torch.randn(3, 4), adv, torch.ones(3).long())
    assert parts['loss_inter'].item() == 0
    parts['loss_inter'].backward()
    assert not adv.grad.any()


def test_the_sum_over_pairs_drowns_the_rest_where_classes_are_many():
    """The paper's weights on a batch of 64: gradients of lambda 2 times the term, in units of that of 50 L_Frec."""
    generator = torch.Generator().manual_seed(0)
    clean, adv = (3 * torch.randn(2, 64, 100, generator=generator)).unbind()
    adv.requires_grad_()
    reconstruction = torch.autograd.grad(50 * (adv - clean).abs().mean(), adv)[0].norm()

    def share(num_classes, reduction):
        labels = torch.randint(num_classes, (64,), generator=torch.Generator().manual_seed(1))
        loss = ClassAlignmentLoss(hinge=False, pair_reduction=reduction, num_classes=num_classes)
        return (torch.autograd.grad(loss(clean, adv, labels)['loss_inter'], adv)[0].norm() / reconstruction).item()

    assert share(10, 'sum') < 5 and share(100, 'sum') > 20
    assert share(10, 'mean') < 0.1 and share(100, 'mean') < 0.1


def test_mean_over_vectors_by_hand():
    adv = torch.tensor([[0.0, 1.0], [2.0, 3.0], [1.0, 0.0], [9.0, 9.0]])
    labels = torch.tensor([7, 7, 2, -100])
    # Both vectors of class 7 are 1 away from their centre, that of class 2 is its own.
    for reduction, expected in (('class', 1.0 + 0.0), ('vector', (1 + 1 + 0) / 3)):
        loss = ClassAlignmentLoss(intra_reduction=reduction)
        assert loss(adv, adv, labels)['loss_intra'].item() == pytest.approx(expected)
    empty = ClassAlignmentLoss(intra_reduction='vector')(adv[:0], adv[:0], labels[:0])
    assert empty['loss_intra'].item() == 0


@pytest.mark.parametrize('num_classes', [11, 19])
def test_mean_over_vectors_is_smaller_by_the_number_of_classes(num_classes):
    adv = torch.randn(4 * num_classes, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(num_classes).repeat(4)
    by_class, by_vector = (
        ClassAlignmentLoss(intra_reduction=reduction)(adv, adv, labels)['loss_intra']
        for reduction in ('class', 'vector')
    )
    torch.testing.assert_close(by_class, num_classes * by_vector)


@pytest.mark.parametrize('num_classes', [None, 6])
def test_ignored_vectors_as_a_class_of_their_own(num_classes):
    clean, adv, labels = sample()
    ignored = labels.where(labels != 3, -100)
    loss = ClassAlignmentLoss(num_classes=num_classes, ignore_index=None)
    torch.testing.assert_close(loss(clean, adv, ignored), loss(clean, adv, labels))
    assert loss(clean, adv, ignored)['loss_align'] > ClassAlignmentLoss()(clean, adv, ignored)['loss_align']


@pytest.mark.parametrize('argument', ['pair_reduction', 'intra_reduction'])
def test_unknown_reduction(argument):
    with pytest.raises(ValueError, match=f"{argument} is '.*not 'max'"):
        ClassAlignmentLoss(**{argument: 'max'})
