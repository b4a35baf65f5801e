import numpy as np
import pytest
import torch

from mmadvdefense.randomness import Randomness, derive_seed, image_names, image_seeds

SEEDS = [derive_seed(0, 'test', index) for index in range(5)]


def test_seeds_are_stable():
    """Written down: a seed that changes with a release makes old runs unrepeatable."""
    assert derive_seed(0, 'test', 3) == 5292295668686130479


def test_near_inputs_give_unrelated_seeds():
    inputs = [(seed, kind, index) for seed in range(20) for kind in ('train', 'test') for index in range(50)]
    seeds = [derive_seed(*parts) for parts in inputs]
    assert len(set(seeds)) == len(inputs)
    assert 0 <= min(seeds) and max(seeds) < 2**63
    # A sum or a concatenation would confuse these.
    assert len({derive_seed(1, 2), derive_seed(2, 1), derive_seed(12), derive_seed('12'), derive_seed(3)}) == 5
    bits = np.unpackbits(np.array(seeds, dtype='>u8').view(np.uint8).reshape(-1, 8), axis=1)[:, 1:]
    assert abs(bits.mean() - 0.5) < 0.01
    assert abs(bits.mean(0) - 0.5).max() < 0.06


def test_numpy_integers_are_integers():
    assert derive_seed(np.int64(7), 'train', np.int32(2)) == derive_seed(7, 'train', 2)


def test_images_are_told_apart_by_name_or_else_by_pixels():
    images = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2)
    assert image_names(images, [{'sample_idx': 7, 'img_path': 'a/b.png'}, {'img_path': 'a/b.png'}]) == ['7', 'b.png']
    first, second = image_names(images)
    assert first != second and image_names(images.float(), [None, {}]) == [first, second]
    # Neither the batch nor the place in it counts.
    assert image_names([images[1]], [{'img_path': None}]) == [second]


def test_seeds_of_images():
    images = torch.zeros(2, 3, 2, 2)
    seeds = image_seeds(5, 'test', images, [{'sample_idx': 0}, {'sample_idx': 1}])
    assert seeds == [derive_seed(5, 'test', '0'), derive_seed(5, 'test', '1')]
    # Written down, as above: the seed of an image without a name.
    assert image_seeds(0, 'purify', images)[0] == 542730596363469310


@pytest.mark.parametrize('draw', ['uniform_like', 'normal_like'])
def test_an_image_draws_the_same_in_any_batch(draw):
    like = torch.zeros(5, 3, 4, 6)
    whole = getattr(Randomness(SEEDS), draw)(like)
    for index in range(5):
        assert torch.equal(getattr(Randomness([SEEDS[index]]), draw)(like[:1])[0], whole[index])
    backwards = getattr(Randomness(SEEDS[::-1]), draw)(like)
    assert torch.equal(backwards.flip(0), whole)


@pytest.mark.parametrize('seeds', [7, SEEDS])
def test_a_stream_repeats_and_moves_on(seeds):
    like = torch.zeros(5, 3, 4, 6)
    one, two = Randomness(seeds), Randomness(seeds)
    first, second = one.uniform_like(like), one.uniform_like(like)
    assert torch.equal(two.uniform_like(like), first) and torch.equal(two.uniform_like(like), second)
    assert not torch.equal(first, second)
    assert not torch.equal(Randomness(8).uniform_like(like), first)


def test_the_stream_of_one_image_is_shared_with_the_batch():
    like = torch.zeros(5, 3, 4, 6)
    expected = Randomness(SEEDS)
    first, second = expected.uniform_like(like), expected.uniform_like(like)
    randomness = Randomness(SEEDS)
    assert torch.equal(randomness.of(2).uniform_like(like[:1])[0], first[2])
    assert torch.equal(randomness.of(2).uniform_like(like[:1])[0], second[2])
    assert torch.equal(randomness.of(4).uniform_like(like[:1])[0], first[4])
    one_seed = Randomness(3)
    assert not torch.equal(one_seed.of(0).uniform_like(like[:1]), one_seed.of(1).uniform_like(like[:1]))


def test_global_state_neither_matters_nor_moves():
    like = torch.zeros(5, 3, 4, 6)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    draws = [Randomness(seeds).normal_like(like) for seeds in (7, SEEDS)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    for seeds, draw in zip((7, SEEDS), draws):
        assert torch.equal(Randomness(seeds).normal_like(like), draw)


@pytest.mark.parametrize('seeds', [7, list(range(200))])
def test_distributions(seeds):
    like = torch.zeros(200, 3, 8, 8)
    uniform, normal = Randomness(seeds).uniform_like(like), Randomness(seeds).normal_like(like)
    assert uniform.min() >= 0 and uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01 and abs(uniform.std() - 12**-0.5) < 0.01
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02


@pytest.mark.parametrize(
    'device', ['cpu', pytest.param('cuda', marks=pytest.mark.skipif('not torch.cuda.is_available()'))]
)
def test_an_image_draws_the_same_on_every_device(device):
    like = torch.zeros(5, 3, 4, 6)
    drawn = Randomness(SEEDS).uniform_like(like.to(device))
    assert drawn.device.type == device
    assert torch.equal(drawn.cpu(), Randomness(SEEDS).uniform_like(like))


def test_dtype_follows():
    assert Randomness(SEEDS).uniform_like(torch.zeros(5, 2, dtype=torch.float64)).dtype == torch.float64


def test_choice_is_fair_and_repeats():
    draws = [Randomness(derive_seed(0, 'train', iteration)).choice(2) for iteration in range(1000)]
    assert set(draws) == {0, 1} and 420 < sum(draws) < 580
    assert draws[:10] == [Randomness(derive_seed(0, 'train', i)).choice(2) for i in range(10)]
    assert 0 <= Randomness(SEEDS).choice(3) < 3
