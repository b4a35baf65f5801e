from types import SimpleNamespace

import pytest
import torch

from mmadvdefense.purifiers import STEP
from mmadvdefense.randomness import Randomness

pytest.importorskip('mmpretrain')
SMALL = dict(type='WGANGenerator', code_size=4, base_channels=2, image_size=(8, 8))


@pytest.fixture
def build(build_purifier):
    def build(**settings):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            purifier = build_purifier(dict(type='DefenseGANPurifier', generator=SMALL, **settings))
            for parameter in purifier.generator.parameters():
                torch.nn.init.normal_(parameter, std=0.5)
        purifier.num_updates += 1
        return purifier

    return build


def test_the_default_is_the_published_generator(build_purifier):
    with torch.device('meta'):
        purifier = build_purifier(dict(type='DefenseGANPurifier'))
    assert sum(p.numel() for p in purifier.parameters()) == 1_558_275
    assert (purifier.num_steps, purifier.num_restarts, purifier.working_size) == (200, 10, (32, 32))
    assert (purifier.learning_rate, purifier.momentum) == (10.0, 0.7)


def test_search_by_hand(build, make_images):
    """Each code of each image by itself, with an optimizer of PyTorch's."""
    settings = dict(num_steps=10, num_restarts=3, learning_rate=0.5)
    purifier, images = build(**settings), make_images(2, 3, 8, 8)
    found = purifier.clean(images, Randomness([3, 4]))
    for image, own, seed in zip(images / 127.5 - 1, found, (3, 4)):
        starts = Randomness([seed]).normal_like(torch.empty(1, 3, 4))[0]
        candidates = []
        for start in starts:
            code = start[None].clone().requires_grad_()
            optimizer = torch.optim.SGD([code], lr=0.5, momentum=0.7)
            for step in range(10):
                optimizer.param_groups[0]['lr'] = 0.5 if step < 8 else 0.05
                optimizer.zero_grad()
                (purifier.generator(code) - image).square().mean().backward()
                optimizer.step()
            drawn = purifier.generator(code).detach()[0]
            candidates.append(((drawn - image).square().mean().item(), drawn))
        expected = (min(candidates, key=lambda pair: pair[0])[1] + 1) * 127.5
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-2)


def test_more_steps_and_restarts_come_nearer(build, make_images):
    images = make_images(4, 3, 8, 8)

    def distance(**settings):
        return (build(learning_rate=0.5, **settings).clean(images, Randomness([1, 2, 3, 4])) - images).square().mean()

    one = distance(num_steps=1, num_restarts=1)
    assert distance(num_steps=30, num_restarts=1) < one and distance(num_steps=1, num_restarts=10) < one


def test_other_sizes_are_resized_to_the_generator_s_and_back(build, make_images):
    images = [make_images(3, 12, 20), make_images(3, 8, 8)]
    cleaned = build(num_steps=2, num_restarts=2).clean(images)
    assert [image.shape for image in cleaned] == [image.shape for image in images]


def test_the_generator_is_not_touched(build, make_images):
    purifier = build(num_steps=2, num_restarts=2)
    before = {name: value.clone() for name, value in purifier.state_dict().items()}
    purifier.clean(make_images(2, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in purifier.state_dict().items())
    assert all(parameter.grad is None for parameter in purifier.parameters())


def test_trained_on_what_it_draws(build, make_images):
    purifier, images = build().train(), make_images(3, 3, 8, 8)
    step = SimpleNamespace(clean=images, adversarial=None, purifies_clean=True, images=None, randomness=Randomness(5))
    given = purifier.forward({'inputs': images, 'data_samples': None, STEP: step}, training=True)
    codes = Randomness(5).normal_like(torch.empty(3, 4))
    torch.testing.assert_close(step.images.purified_clean, purifier.generator(codes))
    torch.testing.assert_close(step.images.clean, images / 127.5 - 1)
    torch.testing.assert_close(given['inputs'], purifier.native(dict(inputs=images), True)['inputs'])


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(num_steps=0), 'DefenseGANPurifier: num_steps must be an integer >= 1, got 0'),
        (dict(num_restarts=1.5), 'num_restarts must be an integer >= 1, got 1.5'),
        (dict(learning_rate=0), r'learning_rate must be > 0 and momentum in \[0, 1\), got 0'),
        (dict(momentum=1), 'momentum in .* got 10.0 and 1'),
        (dict(working_size=(8, 8)), 'the size of its generator: leave working_size out'),
        (dict(generator=dict(type='EDSR', channels=2, num_blocks=1)), 'a generator of images from codes'),
    ],
)
def test_bad_settings(build_purifier, settings, message):
    with pytest.raises(ValueError, match=message):
        build_purifier({'type': 'DefenseGANPurifier', 'generator': SMALL, **settings})
