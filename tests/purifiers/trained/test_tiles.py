"""Images larger than the crops of training are cleaned in tiles of their size."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mmadvdefense.pixels import psnr
from mmadvdefense.purifiers import STEP
from mmadvdefense.purifiers.trained.tiles import Tiles

pytest.importorskip('mmpretrain')

# Its last layer starts at zero: the images come out as they went in.
IDENTITY = dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,))
# Instance norm: what it does to a pixel depends on all that it sees.
RANDOM = dict(type='GlobalGenerator', base_channels=4, num_downsamples=2, num_blocks=1)


@pytest.fixture
def build(build_purifier):
    def build(**settings):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            purifier = build_purifier(dict(type='AlignPurifier', **{'generator': RANDOM, **settings}))
        purifier.num_updates += 1
        return purifier

    return build


def by_hand(purifier, image, tile, stride):
    """Tile after tile, with weights that fall linearly to the edges."""
    height, width = image.shape[-2:]
    total, weights = torch.zeros_like(image), torch.zeros(1, 1, height, width)
    ramp = torch.tensor([min(i + 1, tile - i) for i in range(tile)], dtype=torch.float32)
    for top in range(0, height - tile + 1, stride):
        for left in range(0, width - tile + 1, stride):
            place = (..., slice(top, top + tile), slice(left, left + tile))
            outputs = purifier.generate(image[place])[1]
            outputs = torch.nn.functional.interpolate(outputs, (tile, tile), mode='bilinear', align_corners=True)
            total[place] += ramp[:, None] * ramp * outputs
            weights[place] += ramp[:, None] * ramp
    return (total / weights + 1) * 127.5


# The tiles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(12, 12), (13, 40), (25, 12), (31, 29)])
@pytest.mark.parametrize('overlap', [0, 1 / 3, 0.75])
def test_merging_undoes_splitting(make_images, size, overlap):
    images, tiles = make_images(2, 3, *size), Tiles((12, 12), overlap)
    split = tiles.split(images)
    assert split.shape == (2 * tiles.number(images), 3, 12, 12)
    torch.testing.assert_close(tiles.merge(split, size), images, rtol=1e-5, atol=1e-4)


def test_tiles_are_parts_of_their_image(make_images):
    images = make_images(2, 3, 12, 20)
    split = Tiles((8, 12), 0.5).split(images).unflatten(0, (2, 2, 3))
    for row, top in enumerate((0, 4)):
        for column, left in enumerate((0, 4, 8)):
            assert torch.equal(split[:, row, column], images[..., top : top + 8, left : left + 12])


def test_overlap_is_the_least():
    """Half-size Cityscapes in crops of 425: two rows and four columns, as in a window that moves by two thirds."""
    assert Tiles((425, 425)).number(torch.empty(1, 3, 512, 1024)) == 8
    assert Tiles((8, 8), 0.5).number(torch.empty(1, 3, 8, 13)) == 3
    assert Tiles((8, 8), 0).number(torch.empty(1, 3, 8, 16)) == 2


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(tile_size=(0, 8)), 'tile_size must be'),
        (dict(tile_size=8), 'tile_size must be'),
        (dict(tile_size=(8, 8), tile_overlap=1.0), 'tile_overlap must be a share'),
        (dict(tile_size=(8, 8), tile_batch_size=0), 'tile_batch_size must be at least 1'),
    ],
)
def test_wrong_settings(build, settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)


# A purifier that works in tiles --------------------------------------------------------------------------------------


@pytest.mark.parametrize('working_size', [None, (20, 20)])
@torch.no_grad()
def test_values_by_hand(build, make_images, working_size):
    purifier = build(tile_size=(16, 16), tile_overlap=0.5, working_size=working_size)
    images = make_images(2, 3, 24, 40)
    torch.testing.assert_close(purifier.purify(images), by_hand(purifier, images, 16, 8), rtol=0, atol=1e-3)


@torch.no_grad()
def test_the_generator_sees_the_size_of_training_alone(build, make_images):
    purifier = build(tile_size=(16, 16), working_size=(20, 20), tile_batch_size=3)
    seen = []
    purifier.generator.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape)))
    purifier.purify(make_images(2, 3, 16, 40))
    assert seen == [(3, 3, 20, 20)] * 2 + [(2, 3, 20, 20)], 'four tiles of two images, three at once'
    seen.clear()
    purifier.purify([make_images(3, 16, 16), make_images(3, 9, 12)])
    assert {shape[1:] for shape in seen} == {(3, 20, 20)}


@torch.no_grad()
def test_how_many_run_at_once_changes_nothing(build, make_images):
    images = make_images(2, 3, 24, 40)
    one, all_at_once = (build(tile_size=(16, 16), tile_batch_size=number).purify(images) for number in (1, 100))
    torch.testing.assert_close(one, all_at_once, rtol=0, atol=1e-3)


@torch.no_grad()
def test_images_of_one_tile_are_cleaned_as_without(build, make_images):
    images = make_images(2, 3, 16, 16)
    tiled, whole = (build(working_size=(20, 20), **tile) for tile in (dict(tile_size=(16, 16)), {}))
    assert torch.equal(tiled.purify(images), whole.purify(images))


@torch.no_grad()
def test_smaller_images_are_padded_to_a_tile(build, make_images):
    purifier = build(tile_size=(16, 16))
    image = make_images(1, 3, 9, 24)
    padded = torch.nn.functional.pad(image, (0, 0, 0, 7), mode='replicate')
    torch.testing.assert_close(purifier.purify(image), purifier.purify(padded)[..., :9, :], rtol=0, atol=1e-3)


@pytest.mark.parametrize('working_size', [None, (20, 20)])
@torch.no_grad()
def test_no_image_depends_on_its_neighbours(build, make_images, working_size):
    purifier = build(tile_size=(16, 16), working_size=working_size)
    images = [make_images(3, *size, seed=i) for i, size in enumerate([(16, 40), (9, 9), (16, 40), (33, 17)])]
    for image, purified in zip(images, purifier.purify(images)):
        assert purified.shape == image.shape
        assert torch.allclose(purifier.purify(image[None])[0], purified, atol=1e-3)


def test_gradients_flow_through_every_tile(build, make_images):
    """Of an identity each pixel's gradient is its own weight, however many tiles it lies in."""
    purifier = build(generator=IDENTITY, tile_size=(16, 16))
    images = make_images(1, 3, 24, 40).clamp(1, 254).requires_grad_()
    weights = torch.rand(images.shape, generator=torch.Generator().manual_seed(1))
    purified = purifier.clean(images)
    torch.testing.assert_close(purified, images, rtol=0, atol=1e-3)
    (gradient,) = torch.autograd.grad((purified * weights).sum(), images)
    torch.testing.assert_close(gradient, weights, rtol=1e-3, atol=1e-4)


def test_gradients_of_a_generator_by_hand(build, make_images):
    purifier = build(tile_size=(16, 16), tile_overlap=0.5)
    images = make_images(1, 3, 16, 32).requires_grad_()
    ours, theirs = (
        torch.autograd.grad(output.square().mean(), images)[0]
        for output in (purifier.clean(images), by_hand(purifier, images, 16, 8))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


@torch.no_grad()
def test_enlarged_tiles_keep_more_than_a_squeezed_image(build):
    """The proportions of Cityscapes: 1024 x 512 pixels squeezed to 512 x 512, or crops of 425 enlarged to that."""
    noise = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    image = 255 * torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    squeezed, tiled = (
        psnr(build(generator=IDENTITY, working_size=(64, 64), tile_size=tile).purify(image), image).item()
        for tile in (None, (53, 53))
    )
    assert tiled > squeezed + 3


@pytest.mark.parametrize(('size', 'seen_at'), [((16, 16), (20, 20)), ((12, 16), (20, 20)), ((16, 30), (16, 30))])
def test_training(build, make_images, make_samples, size, seen_at):
    """At the working size as ever; images of several tiles at their own."""
    purifier = build(tile_size=(16, 16), working_size=(20, 20)).train()
    clean, adversarial = make_images(2, 3, *size), make_images(2, 3, *size, seed=1)
    step = SimpleNamespace(clean=clean, adversarial=adversarial, purifies_clean=True, images=None)
    data = dict(inputs=clean, data_samples=make_samples(2))
    output = purifier({**data, STEP: step}, training=True)
    assert output['inputs'].shape == (4, 3, *size)
    both = step.images
    for images in (both.clean, both.adversarial, both.purified_clean, both.purified_adversarial):
        assert images.shape == (2, 3, *seen_at)
    step.purifies_clean = False
    purifier({**data, STEP: step}, training=True)
    alone = step.images
    torch.testing.assert_close(alone.clean, both.clean)
    torch.testing.assert_close(alone.purified_adversarial, both.purified_adversarial, rtol=0, atol=1e-5)


def test_an_export_keeps_its_tiles(build, make_images, tmp_path):
    from mmadvdefense.purifiers.trained.export import save_purifier_export

    purifier = build(tile_size=(16, 16), working_size=(20, 20))
    save_purifier_export(purifier.export(), tmp_path / 'purifier.pth')
    loaded = build(generator=None, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'purifier.pth')))
    images = make_images(1, 3, 16, 40)
    with torch.no_grad():
        assert torch.equal(loaded.purify(images), purifier.purify(images))
