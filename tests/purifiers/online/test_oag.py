"""OAG's updates against the equations of the paper, written out for one image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mmadvdefense.randomness import Randomness

pytest.importorskip('mmpretrain')

KERNEL, STRIDE, FILTERS, PADDING = 5, 3, 2, 2
NETWORK = dict(type='EnergyNetworks', num_filters=FILTERS, kernel_size=KERNEL, stride=STRIDE)


def _draw(seed: int):
    generator = torch.Generator().manual_seed(seed)

    def uniform(fan_in: int, *shape: int) -> np.ndarray:
        numbers = torch.rand(*shape, generator=generator, dtype=torch.float64).numpy()
        return (2 * numbers - 1) / math.sqrt(fan_in)

    return uniform, lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).numpy()


class PlainOAG:
    """Algorithm 1, one number after the other."""

    def __init__(self, image: np.ndarray, seed: int):
        self.height, self.width = image.shape[1:]
        self.rows, self.columns = ((side + 2 * PADDING - KERNEL) // STRIDE + 1 for side in (self.height, self.width))
        uniform, self.normal = _draw(seed)
        fan_in = 3 * KERNEL**2
        self.filters = uniform(fan_in, FILTERS, 3, KERNEL, KERNEL)
        self.biases = uniform(fan_in, FILTERS)
        self.weights = uniform(FILTERS * self.rows * self.columns, FILTERS, self.rows, self.columns)
        self.num_inputs = fan_in * self.rows * self.columns
        self.reference = image - 127.5
        self.synthesized = np.zeros_like(image)

    def positions(self, image: np.ndarray):
        """Every filter at every position: its response and the pixels that it sees."""
        for k in range(FILTERS):
            for row in range(self.rows):
                for column in range(self.columns):
                    seen, response = [], self.biases[k]
                    for c in range(3):
                        for i in range(KERNEL):
                            for j in range(KERNEL):
                                y, x = row * STRIDE + i - PADDING, column * STRIDE + j - PADDING
                                if 0 <= y < self.height and 0 <= x < self.width:
                                    seen.append((c, i, j, y, x))
                                    response += self.filters[k, c, i, j] * image[c, y, x]
                    yield k, row, column, response, seen

    def gradient_to_image(self) -> np.ndarray:
        gradient = np.zeros_like(self.synthesized)
        for k, row, column, response, seen in self.positions(self.synthesized):
            if response > 0:
                for c, i, j, y, x in seen:
                    gradient[c, y, x] += self.weights[k, row, column] * self.filters[k, c, i, j]
        return gradient

    def gradients_to_network(self, image: np.ndarray) -> list[np.ndarray]:
        filters, biases, weights = map(np.zeros_like, (self.filters, self.biases, self.weights))
        for k, row, column, response, seen in self.positions(image):
            if response > 0:
                weights[k, row, column] += response
                biases[k] += self.weights[k, row, column]
                for c, i, j, y, x in seen:
                    filters[k, c, i, j] += self.weights[k, row, column] * image[c, y, x]
        return [filters, biases, weights]

    def step(self, image_steps: int, noise: float, learning_rate: float) -> np.ndarray:
        normal = self.normal(image_steps, *self.synthesized.shape)
        for s in range(image_steps):
            pull = self.synthesized - self.gradient_to_image()
            self.synthesized = self.synthesized - noise**2 / 2 * pull + noise * normal[s]  # Eq. 3
        beta = learning_rate / math.sqrt(self.num_inputs)
        ours, theirs = self.gradients_to_network(self.reference), self.gradients_to_network(self.synthesized)
        for value, wanted, unwanted in zip([self.filters, self.biases, self.weights], ours, theirs):
            value += beta * (wanted - unwanted)  # Eq. 5
        return np.clip(self.synthesized + 127.5, 0, 255)


def test_updates_are_those_of_the_paper(build_purifier, make_images):
    settings = dict(image_steps=2, noise=0.4, learning_rate=0.02)
    images = make_images(2, 3, 8, 6).double()
    seeds = [11, 12]
    purifier = build_purifier(dict(type='OAGPurifier', num_steps=3, network=NETWORK, **settings))
    states = purifier.trajectory(images, Randomness(seeds), [1, 2, 3])
    for index, seed in enumerate(seeds):
        plain = PlainOAG(images[index].numpy(), seed)
        for state in states:
            expected = plain.step(**settings)
            assert np.abs(state[index].numpy() - expected).max() < 1e-8
    assert torch.equal(purifier.purify(images, Randomness(seeds)), states[-1])


def test_without_a_network_the_image_is_noise_of_one_pixel(build_purifier, make_images):
    """Eq. 3 assumes N(0, 1) of an image that the network says nothing about: the unit is a pixel."""
    settings = dict(image_steps=400, noise=0.3, learning_rate=1e-12)
    purifier = build_purifier(dict(type='OAGPurifier', num_steps=1, **settings))
    noise = purifier.purify(make_images(4, 3, 32, 32), Randomness([0, 1, 2, 3])) - 127.5
    assert noise.std() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize('size', [(32, 32), (40, 24)])
def test_images_appear_and_noise_does_not_yet(build_purifier, size):
    """Patterns before noise: after a while the result is nearer to the clean image than its input is."""
    rows, columns = torch.meshgrid(torch.linspace(0, 6, size[0]), torch.linspace(0, 6, size[1]), indexing='ij')
    clean = torch.stack([(rows + phase).sin() * columns.cos() for phase in (0, 1, 2)])[None] * 90 + 127
    noisy = (clean + 25 * Randomness([5]).normal_like(clean)).clamp(0, 255)
    purifier = build_purifier(dict(type='OAGPurifier', num_steps=80))
    early, late = ((state - clean).square().mean() for state in purifier.trajectory(noisy, Randomness([0]), [2, 80]))
    assert early > 1000
    assert late < 0.7 * (noisy - clean).square().mean()


def test_any_image_and_size_is_stable(build_purifier):
    """The largest stable step depends on an image's norm and size; white has the largest norm."""
    white = torch.full((1, 3, 24, 24), 255.0)
    checkers = torch.arange(32)[:, None] + torch.arange(32)
    images = [white[0], white[0] * 0, (checkers % 2 * 255.0).expand(3, -1, -1), white[0, :, :9, :5]]
    purifier = build_purifier(dict(type='OAGPurifier', num_steps=100))
    for image, cleaned in zip(images, purifier.purify(images, Randomness([0, 1, 2, 3]))):
        assert (cleaned - image).square().mean() < 0.1 * (image - 127.5).square().mean()


def test_divergence_is_an_error(build_purifier, make_images):
    purifier = build_purifier(dict(type='OAGPurifier', num_steps=20, learning_rate=1.0))
    with pytest.raises(FloatingPointError, match='OAGPurifier diverged within 20 steps: lower learning_rate'):
        purifier.purify(make_images(2, 3, 16, 16), Randomness([0, 1]))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(num_steps=0), 'OAGPurifier: num_steps must be an integer >= 1, got 0'),
        (dict(num_steps=1.5), 'num_steps must be an integer >= 1, got 1.5'),
        (dict(image_steps=0), 'image_steps must be an integer >= 1, got 0'),
        (dict(noise=0), 'noise must be > 0, got 0'),
        (dict(learning_rate=-1), 'learning_rate must be > 0, got -1'),
        (dict(learning_rate=float('nan')), 'learning_rate must be > 0, got nan'),
    ],
)
def test_settings_that_mean_nothing(build_purifier, settings, message):
    with pytest.raises(ValueError, match=message):
        build_purifier(dict(type='OAGPurifier', **settings))
