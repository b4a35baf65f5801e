import numpy as np
import pytest
import torch
from scipy import ndimage

from mmadvdefense.attacks import BIM, PGD, AttackSource, Randomness
from mmadvdefense.attacks.balls import L2Ball, LinfBall, PatchBall
from mmadvdefense.attacks.gradient.loop import gaussian_kernel


def one_row(*values):
    """Images of one pixel each."""
    return torch.tensor(values, dtype=torch.float32).view(len(values), 3, 1, 1)


def test_linf_projection_by_hand():
    clean = one_row([10, 250, 3])
    images = one_row([30, 300, -20])
    assert LinfBall(8).project(images, clean).flatten().tolist() == [18, 255, 0]
    inside = one_row([12, 249, 1])
    assert torch.equal(LinfBall(8).project(inside, clean), inside)
    assert torch.equal(LinfBall(0).project(images, clean), clean)


def test_linf_projection_equals_two_clamps(make_images):
    clean, images = make_images(4, 3, 6, 5), make_images(4, 3, 6, 5, seed=2) * 1.3 - 30
    expected = (clean + (images - clean).clamp(-8, 8)).clamp(0, 255)
    assert torch.equal(LinfBall(8).project(images, clean), expected)


def test_l2_projection_by_hand():
    clean = one_row([100, 100, 100], [100, 100, 100])
    images = one_row([103, 104, 100], [130, 140, 100])
    expected = one_row([103, 104, 100], [106, 108, 100])
    torch.testing.assert_close(L2Ball(10).project(images, clean), expected)
    assert torch.equal(L2Ball(0).project(images, clean), clean)


def test_l2_projection_stays_in_range():
    projected = L2Ball(10).project(one_row([-30, 140, 100]), one_row([0, 100, 100]))
    torch.testing.assert_close(projected, one_row([0, 108, 100]))


@pytest.mark.parametrize('kind, widest', [(LinfBall, 30), (L2Ball, 400)])
@pytest.mark.parametrize('shape', [(-1,), (-1, 1, 1, 1)])
def test_a_radius_for_each_image(kind, widest, shape, make_images):
    clean, images = make_images(4, 3, 6, 5), make_images(4, 3, 6, 5, seed=2) * 1.3 - 30
    radius = torch.tensor([0.0, 1.0, widest / 2, widest])
    ball = kind(radius.view(shape))
    together, starts = ball.project(images, clean), ball.random_delta(clean, Randomness([1, 2, 3, 4]))
    for index, eps in enumerate(radius.tolist()):
        one = slice(index, index + 1)
        alone = kind(eps).project(images[one], clean[one])
        torch.testing.assert_close(together[one], alone)
        torch.testing.assert_close(ball.of(index).project(images[one], clean[one]), alone)
        torch.testing.assert_close(starts[one], kind(eps).random_delta(clean[one], Randomness([index + 1])))


@pytest.mark.parametrize('ball', [LinfBall(8), L2Ball(8)])
def test_nothing_moves_where_the_gradient_is_zero(ball):
    gradient = torch.zeros(2, 3, 4, 4)
    assert ball.steepest(gradient).eq(0).all()
    assert torch.equal(ball.project(gradient + 5, gradient + 5), gradient + 5)


def test_steepest_directions():
    gradient = one_row([3, -4, 0], [1e-30, 0, 0])
    assert LinfBall(8).steepest(gradient).flatten().tolist() == [1, -1, 0, 1, 0, 0]
    torch.testing.assert_close(L2Ball(8).steepest(gradient), one_row([0.6, -0.8, 0], [1, 0, 0]))


@pytest.mark.parametrize('ball', [LinfBall(8), L2Ball(8)])
def test_random_points_fill_the_ball(ball):
    like = torch.zeros(3000, 3, 1, 1)
    delta = ball.random_delta(like, Randomness(0))
    size = ball.size(delta)
    assert size.max() <= 8 + 1e-4
    # Uniform in the volume: half of the points lie in the outer shell that holds half of the volume.
    assert abs((size < 8 * 0.5 ** (1 / 3)).float().mean() - 0.5) < 0.04
    assert delta.mean((0, 2, 3)).abs().max() < 0.4


def test_sizes():
    delta = one_row([3, -4, 0])
    assert LinfBall(8).size(delta).tolist() == [4] and L2Ball(8).size(delta).tolist() == [5]


@pytest.mark.parametrize('size, sigma', [(1, 0.2), (3, 1.0), (15, 3.0)])
def test_kernel_is_a_gaussian_that_sums_to_one(size, sigma):
    kernel = gaussian_kernel(size, sigma, torch.zeros(()))
    assert kernel.shape == (size, size)
    assert kernel.sum().item() == pytest.approx(1)
    impulse = np.zeros((size, size))
    impulse[size // 2, size // 2] = 1
    expected = ndimage.gaussian_filter(impulse, sigma, mode='constant', radius=size // 2)
    np.testing.assert_allclose(kernel, expected, atol=1e-6)


def test_default_sigma_is_a_fifth_of_the_side():
    assert PGD(8, 2, 4, kernel_size=15).kernel_sigma == 3
    assert PGD(8, 2, 4, kernel_size=15, kernel_sigma=2).kernel_sigma == 2


@pytest.mark.parametrize('norm', ['linf', 'l2'])
def test_the_kernel_smooths_the_gradient(norm):
    gradient = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    attack = PGD(8, 2, 4, kernel_size=5, kernel_sigma=1.5, norm=norm)
    direction = attack.direction(gradient, {'mask': None})
    smooth = ndimage.gaussian_filter(gradient.numpy(), (0, 0, 1.5, 1.5), mode='constant', radius=(0, 0, 2, 2))
    if norm == 'linf':
        expected = np.sign(smooth)
    else:
        expected = smooth / np.linalg.norm(smooth.reshape(2, -1), axis=1)[:, None, None, None]
    np.testing.assert_allclose(direction, expected, atol=1e-5)


def test_a_kernel_of_one_pixel_is_no_kernel(tiny_classifier, image_batch):
    source = AttackSource(tiny_classifier)
    plain, one = (
        PGD(8, 2, 3, kernel_size=size)(source, image_batch.images, image_batch.samples, Randomness(0))
        for size in (None, 1)
    )
    assert torch.equal(plain, one)


def test_normal_start_has_its_standard_deviation(tiny_classifier):
    clean = torch.full((50, 3, 8, 8), 128.0)
    start = PGD(8, 2, 3, random_start='normal', start_std=0.5).start(clean, Randomness(0))
    assert (start - clean).std().item() == pytest.approx(0.5, rel=0.03)
    assert PGD(8, 2, 3, random_start=None).start(clean, Randomness(0)) is clean


def test_every_step_is_one_step(tiny_classifier, image_batch):
    """Two steps of 2 in a ball of 8 end 0, 2 or 4 pixels from the clean image."""
    images = image_batch.images.clamp(20, 235)
    adversarial = BIM(8, 2, 2)(AttackSource(tiny_classifier), images, image_batch.samples, Randomness(0))
    distances = (adversarial - images).abs().round(decimals=3).unique().tolist()
    assert set(distances) <= {0, 2, 4} and 4 in distances


def test_bim_by_hand(tiny_classifier, image_batch):
    images, native = image_batch.images, tiny_classifier.data_preprocessor
    expected = images.clone()
    tiny_classifier.eval()
    for _ in range(3):
        expected.requires_grad_()
        logits = tiny_classifier((expected - native.mean) / native.std)
        loss = torch.nn.functional.cross_entropy(logits, image_batch.labels, reduction='sum')
        (gradient,) = torch.autograd.grad(loss, expected)
        expected = expected.detach() + 3 * gradient.sign()
        expected = images + (expected - images).clamp(-8, 8)
        expected = expected.clamp(0, 255)
    actual = BIM(8, 3, 3)(AttackSource(tiny_classifier), images, image_batch.samples, Randomness(0))
    assert ((actual - expected).abs() < 1e-3).float().mean() > 0.999


def test_a_patch_by_hand():
    """The first of two pixels may take any value, the other one keeps its own."""
    region = torch.tensor([True, False]).view(1, 1, 1, 2)
    clean = torch.tensor([[10.0, 20], [30, 40], [50, 60]]).view(1, 3, 1, 2)
    images = torch.tensor([[-5.0, 21], [300, 0], [7, 60]]).view(1, 3, 1, 2)
    ball = PatchBall(region=region)
    projected = ball.project(images, clean)
    assert projected[0, :, 0].tolist() == [[0, 20], [255, 40], [7, 60]]
    assert ball.steepest(torch.tensor([[2.0, 3], [-1, -1], [0, 1]]).view(1, 3, 1, 2))[0, :, 0].tolist() == [
        [1, 0], [-1, 0], [0, 0],
    ]  # fmt: skip
    assert ball.size(projected - clean).tolist() == [0.5] and ball.size(clean - clean).tolist() == [0]
    start = clean + ball.random_delta(clean, Randomness([3]))
    assert torch.equal(start[..., 1], clean[..., 1]) and start[..., 0].ne(clean[..., 0]).all()
    assert start.min() >= 0 and start.max() <= 255
    assert PatchBall().project(images, clean)[0, :, 0].tolist() == [[0, 21], [255, 0], [7, 60]]


def test_each_image_has_its_own_patch(make_images):
    clean, images = make_images(2, 3, 4, 4), make_images(2, 3, 4, 4, seed=2)
    region = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    region[0, :, :2], region[1, :, :, 3:] = True, True
    together = PatchBall(region=region).project(images, clean)
    for index in range(2):
        alone = PatchBall(region=region).of(index).project(images[index : index + 1], clean[index : index + 1])
        assert torch.equal(alone[0], together[index])
