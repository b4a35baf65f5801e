from types import SimpleNamespace

import pytest
import torch

from mmadvdefense.networks.generative.logistic_mixture import LogisticMixture
from mmadvdefense.purifiers import STEP

pytest.importorskip('mmpretrain')
SMALL = dict(type='PixelCNN', channels=4, num_blocks=1, num_levels=2, num_mixtures=2)


@pytest.fixture
def build(build_purifier):
    def build(**settings):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            purifier = build_purifier(dict(type='PixelDefendPurifier', generator=SMALL, **settings))
        purifier.num_updates += 1
        return purifier

    return build


def test_greedy_decoding_by_hand(build, make_images):
    """Every value within eps is put in its place in the whole image, one after another."""
    purifier, image = build(eps=2), make_images(3, 3, 2)
    found = purifier.clean(image[None])[0]
    expected = image.clone()

    def log_probability(values, row, column, channel):
        """Of the channels up to this one, since the others have not been decided."""
        images = expected.expand(len(values), 3, 3, 2).clone()
        images[:, channel, row, column] = values
        padded = torch.nn.functional.pad(images / 127.5 - 1, (0, 0, 0, 1), mode='replicate')
        with torch.no_grad():
            mixture = LogisticMixture.of(purifier.generator(padded)[..., row, column])
            # Probabilities of one channel alone: a grid of the values of those after it would sum to 1.
            joint = mixture.log_weights
            pixel = padded[..., row, column]
            for index in range(channel + 1):
                mean = mixture.channel_mean(index, pixel[:, :index])
                scale = mixture.log_scales[:, :, index].exp()
                high = ((pixel[:, index, None] + 1 / 255 - mean) / scale).double().sigmoid()
                low = ((pixel[:, index, None] - 1 / 255 - mean) / scale).double().sigmoid()
                high = torch.where(pixel[:, index, None] > 0.999, 1.0, high)
                low = torch.where(pixel[:, index, None] < -0.999, 0.0, low)
                joint = joint + (high - low).log()
            return joint.logsumexp(1)

    for row in range(3):
        for column in range(2):
            for channel in range(3):
                given = int(image[channel, row, column])
                values = torch.arange(max(given - 2, 0), min(given + 2, 255) + 1).float()
                best = log_probability(values, row, column, channel).argmax()
                expected[channel, row, column] = values[best]
    assert torch.equal(found, expected) and not torch.equal(found, image)


def test_result_is_near_and_more_likely(build, make_images):
    purifier, images = build(eps=16), make_images(3, 3, 6, 5) + 0.4
    images = images.clamp(0, 255)
    cleaned = purifier.clean(images)
    assert (cleaned - images).abs().max() <= 16 and torch.equal(cleaned, cleaned.round())
    assert 0 <= cleaned.min() and cleaned.max() <= 255

    def likelihood(pixels):
        padded = torch.nn.functional.pad(pixels / 127.5 - 1, (0, 1, 0, 0), mode='replicate')
        with torch.no_grad():
            return purifier.generator.log_likelihood(padded)[..., :5].flatten(1).sum(1)

    assert (likelihood(cleaned) > likelihood(images.round())).all()


def test_large_images_are_refused(build):
    with pytest.raises(ValueError, match='4,160 for an image of 64x65: purify smaller images, or set max_pixels=4160'):
        build().clean([torch.zeros(3, 2, 2), torch.zeros(3, 64, 65)])


def test_trained_on_the_likelihood(build, make_images):
    purifier, images = build().eval(), make_images(2, 3, 5, 6)
    step = SimpleNamespace(clean=images, adversarial=None, purifies_clean=True, images=None)
    purifier.forward({'inputs': images, 'data_samples': None, STEP: step}, training=True)
    padded = torch.nn.functional.pad(images / 127.5 - 1, (0, 0, 0, 1), mode='replicate')
    expected = purifier.generator.log_likelihood(padded)[:, :5].flatten(1).sum(1)
    torch.testing.assert_close(step.images.log_likelihood, expected)
    step.clean = [images[0], images[1, :, :3]]
    with pytest.raises(ValueError, match='trains on images of one size'):
        purifier.forward({'inputs': step.clean, STEP: step}, training=True)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(eps=0), 'PixelDefendPurifier: eps must be an integer >= 1, got 0'),
        (dict(eps=0.06), 'eps must be an integer >= 1, got 0.06'),
        (dict(max_pixels=0), 'max_pixels must be an integer >= 1, got 0'),
        (dict(tile_size=(8, 8)), 'takes images at their own size: leave tile_size out'),
        (dict(generator=dict(type='EDSR', channels=2, num_blocks=1)), 'a generator that gives likelihoods'),
    ],
)
def test_bad_settings(build_purifier, settings, message):
    with pytest.raises(ValueError, match=message):
        build_purifier({'type': 'PixelDefendPurifier', 'generator': SMALL, **settings})
