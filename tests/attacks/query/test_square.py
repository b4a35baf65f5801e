"""Square's schedule and moves, beside plain formulas."""

import pytest
import torch

from mmadvdefense.attacks import Randomness, build_attack
from mmadvdefense.attacks.query.square import MOVES, L2Moves, LinfMoves, _bumps


@pytest.fixture
def clean(make_images):
    """With pixels at either end of the range."""
    return make_images(5, 3, 14, 11)


def changed_box(change):
    """Rows and columns that hold all changes of an image."""
    rows, columns = (change.abs().sum(axes) > 1e-4 for axes in ((0, 2), (0, 1)))
    return [(int(line.nonzero().min()), int(line.nonzero().max())) for line in (rows, columns)]


@pytest.mark.parametrize(
    ('step', 'side'),
    # sqrt(0.8 * 32 * 32 / 2^k); halved after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 of 10,000 queries
    [(0, 29), (10, 29), (11, 20), (51, 14), (201, 10), (501, 7), (1001, 5), (2001, 4), (4001, 3), (6001, 2), (9000, 1)],
)
def test_schedule(step, side):
    assert build_attack(dict(type='Square', eps=8, queries=10000)).side(step, 32, 32) == side


@pytest.mark.parametrize('objective', ['margin', 'cross_entropy'])
def test_both_losses_of_the_paper(objective, query_host):
    """What does not fool the model is the proposal of the highest loss that it was shown, and another for each loss."""
    attack = build_attack(dict(type='Square', eps=1, queries=40, p_init=0.3, objective=objective))
    for index in range(3):
        query_host.shown.clear()
        images, samples = query_host.images[index : index + 1], query_host.samples[index : index + 1]
        best = attack(query_host.source, images, samples, Randomness([index]))
        shown = torch.cat([query_host.pixels(inputs) for inputs, _ in query_host.shown])
        logits, label = query_host.logits(shown), query_host.labels[index]
        assert (logits.argmax(1) == label).all() and len(shown) == 40
        if objective == 'margin':
            others = logits.clone()
            others[:, label] = -torch.inf
            loss = others.amax(1) - logits[:, label]
        else:
            loss = -logits.log_softmax(1)[:, label]
        torch.testing.assert_close(best[0], shown[loss.argmax()], rtol=0, atol=1e-3)


def test_schedule_is_stretched_and_fits_the_image():
    attack = build_attack(dict(type='Square', eps=8, queries=1000))
    assert [attack.side(step, 32, 32) for step in (1, 2, 900)] == [29, 20, 1]
    assert attack.side(0, 8, 100) == 8
    # As in AutoAttack, which stops halfway through the schedule.
    attack = build_attack(dict(type='Square', eps=8, queries=5000, rescale=False))
    assert [attack.side(step, 32, 32) for step in (10, 11, 500, 501, 2001, 4999)] == [29, 20, 10, 7, 4, 3]


def test_linf_starts_with_stripes(clean):
    change = LinfMoves(8.0).start(clean, Randomness(0)) - clean
    expected = 8 * change.sum(2, keepdim=True).sign().expand_as(change)
    torch.testing.assert_close(change, (clean + expected).clamp(0, 255) - clean)
    assert change.min() == -8 and change.max() == 8


def test_linf_changes_one_square(clean):
    moves, randomness = LinfMoves(8.0), Randomness(list(range(5)))
    middle = torch.full_like(clean, 128)
    current, places = moves.start(middle, randomness), set()
    for _ in range(40):
        proposal = moves.propose(current, middle, 4, randomness)
        for change, before in zip(proposal - middle, current - middle):
            assert change.abs().eq(8).all()
            square = (change != before).any(0)
            if square.any():
                (top, bottom), (left, right) = changed_box(change - before)
                assert bottom - top < 4 and right - left < 4
                places.add((top, left))
    # Both ends of the image are reached.
    assert {0, 10} <= {top for top, _ in places} and {0, 7} <= {left for _, left in places}


def pyramid_by_hand(height, width):
    """Rectangles drawn one over the other, each one ring larger."""
    values = torch.zeros(height, width)
    for ring in range(max(height, width) // 2 + 1):
        top, left = max(height // 2 - ring, 0), max(width // 2 - ring, 0)
        values[top : height // 2 + ring + 1, left : width // 2 + ring + 1] += 1 / (ring + 1) ** 2
    return values


@pytest.mark.parametrize('side', [2, 3, 5, 8])
def test_a_bump_is_one_pyramid_up_and_one_down(side):
    bump = torch.cat([pyramid_by_hand(side // 2, side), -pyramid_by_hand(side - side // 2, side)])
    bump /= bump.norm()
    drawn = _bumps(side, Randomness(0), torch.zeros(40))
    upright = (drawn - bump).abs().amax((1, 2)) < 1e-6
    lying = (drawn - bump.T).abs().amax((1, 2)) < 1e-6
    assert (upright | lying).all() and upright.any() and lying.any()


def test_l2_uses_the_whole_budget(clean):
    moves, randomness = L2Moves(50.0), Randomness(list(range(5)))
    middle = torch.full_like(clean, 128)
    current = moves.start(middle, randomness)
    for side in (9, 5, 3, 1):
        torch.testing.assert_close((current - middle).flatten(1).norm(dim=1), torch.full((5,), 50.0))
        current = moves.propose(current, middle, side, randomness)
        assert current.isfinite().all()


def test_l2_moves_change_from_one_window_into_another(clean):
    """Outside both windows all that can change is the scale of the whole."""
    moves, randomness = L2Moves(50.0), Randomness([0])
    middle = torch.full_like(clean[:1], 128)
    current = moves.start(middle, randomness)
    for _ in range(20):
        before, after = (current - middle)[0], (moves.propose(current, middle, 3, randomness) - middle)[0]
        ratio = (after / before)[before.abs() > 1e-3]
        scale = ratio.median()
        # Two windows of 3 x 3 at most.
        assert ((ratio - scale).abs() > 1e-3).sum() <= 2 * 9 * 3
        assert abs(after.norm() - 50) < 1e-2
        current = after[None] + middle


@pytest.mark.parametrize('norm', MOVES)
def test_moves_stay_in_the_pixel_range(norm, clean):
    moves, randomness = MOVES[norm](30.0), Randomness(0)
    for image in (moves.start(clean, randomness), moves.propose(clean, clean, 5, randomness)):
        assert image.min() >= 0 and image.max() <= 255
