import math

import pytest
import torch

from mmadvdefense import pixels

SIZES = [(4, 6), (5, 3), (2, 2)]


@pytest.fixture
def mixed(make_images):
    return [make_images(3, *size, seed=index) for index, size in enumerate(SIZES)]


def test_stack_pads_below_and_on_the_right(mixed):
    batch, layout = pixels.stack(mixed)
    assert batch.shape == (3, 3, 5, 6)
    assert layout.sizes == tuple(SIZES) and layout.is_list and not layout.is_uniform
    for padded, image in zip(batch, mixed):
        height, width = image.shape[-2:]
        assert torch.equal(padded[:, :height, :width], image)
        assert padded.sum() == image.sum()
    for back, image in zip(pixels.unstack(batch, layout), mixed):
        assert torch.equal(back, image)


def test_gradients_go_through_stack_and_unstack_to_the_right_image(mixed):
    leaves = [image.requires_grad_() for image in mixed]
    batch, layout = pixels.stack(leaves)
    back = pixels.unstack(batch, layout)
    sum((index + 1) * (image**2).sum() for index, image in enumerate(back)).backward()
    for index, leaf in enumerate(leaves):
        torch.testing.assert_close(leaf.grad, 2 * (index + 1) * leaf.detach())


def test_a_tensor_stays_itself_and_a_uniform_list_stays_a_list(make_images):
    images = make_images(2, 3, 4, 5)
    batch, layout = pixels.stack(images)
    assert batch is images and layout == pixels.Layout(((4, 5), (4, 5)), False)
    assert pixels.unstack(batch, layout) is images
    batch, layout = pixels.stack(list(images))
    assert torch.equal(batch, images) and layout.is_list and layout.is_uniform
    back = pixels.unstack(batch, layout)
    assert isinstance(back, list) and torch.equal(torch.stack(back), images)


def test_groups_of_images_of_one_size():
    images = [torch.zeros(3, *size) for size in ((4, 5), (2, 2), (4, 5))]
    assert list(pixels.Layout.of(images).groups().items()) == [((4, 5), [0, 2]), ((2, 2), [1])]
    assert pixels.Layout.of(torch.zeros(2, 3, 4, 5)).groups() == {(4, 5): [0, 1]}


def test_layout_repeat():
    layout = pixels.Layout(((1, 2), (3, 4)), True)
    assert layout.repeat(2) == pixels.Layout(((1, 2), (3, 4), (1, 2), (3, 4)), True)


def test_valid_mask(mixed):
    batch, layout = pixels.stack(mixed)
    mask = pixels.valid_mask(layout, batch)
    assert mask.shape == (3, 1, 5, 6) and mask.dtype == batch.dtype
    for row, (height, width) in zip(mask[:, 0], SIZES):
        assert row[:height, :width].eq(1).all()
        assert row.sum() == height * width


def test_no_mask_where_nothing_is_padded(make_images):
    batch, layout = pixels.stack(list(make_images(2, 3, 4, 5)))
    assert pixels.valid_mask(layout, batch) is None


def test_resize_keeps_the_corners():
    image = torch.tensor([[0.0, 10.0], [20.0, 50.0]]).expand(1, 3, 2, 2)
    expected = torch.tensor([[0.0, 5.0, 10.0], [10.0, 20.0, 30.0], [20.0, 35.0, 50.0]])
    torch.testing.assert_close(pixels.resize(image, (3, 3)), expected.expand(1, 3, 3, 3))
    assert pixels.resize(image, [2, 2]) is image


def test_pad_to_multiple_repeats_the_border():
    image = torch.arange(6.0).view(1, 1, 2, 3)
    padded = pixels.pad_to_multiple(image, 4)
    expected = [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert padded[0, 0].tolist() == expected
    assert pixels.pad_to_multiple(padded, 4) is padded
    assert pixels.pad_to_multiple(image, 1) is image


def test_ranges_round_trip():
    values = torch.linspace(0, 255, 4081).view(1, 1, 1, -1)
    unit = pixels.to_unit_range(values)
    assert unit.min() == -1 and unit.max() == 1
    torch.testing.assert_close(pixels.to_pixels(unit), values, atol=1e-4, rtol=0)


def test_whole_pixels_survive_the_round_trip():
    whole = torch.arange(256.0)
    assert torch.equal(pixels.round_to_8bit(pixels.to_pixels(pixels.to_unit_range(whole))), whole)


def test_to_pixels_and_8bit_stay_in_range():
    assert pixels.to_pixels(torch.tensor([-1.5, 0.0, 1.5])).tolist() == [0, 127.5, 255]
    assert pixels.round_to_8bit(torch.tensor([-0.6, 1.4, 1.6, 255.4, 256.0])).tolist() == [0, 1, 2, 255, 255]


def test_psnr_by_hand():
    reference = torch.zeros(3, 3, 2, 2)
    images = reference.clone()
    images[0] += 255
    images[1, 0, 0, 0] = 12
    # The mean squared errors are 255^2, 144 / 12 = 12 and 0.
    expected = [0, 10 * math.log10(255**2 / 12), math.inf]
    assert pixels.psnr(images, reference).tolist() == pytest.approx(expected)


@pytest.mark.parametrize('channels', [1, 4])
def test_wrong_channels_name_the_image(channels):
    images = [torch.zeros(3, 2, 2), torch.zeros(channels, 5, 7)]
    message = rf'b\.png has shape \({channels}, 5, 7\).*3 channels.*color_type'
    with pytest.raises(ValueError, match=message):
        pixels.check_channels(images, ['a.png', 'b.png'])
    with pytest.raises(ValueError, match=r'image 1 of the batch has shape'):
        pixels.check_channels(images)
    with pytest.raises(ValueError, match=r'image 0 of the batch has shape'):
        pixels.check_channels(torch.zeros(2, channels, 5, 7))


def test_grey_image_without_a_channel_axis_is_refused():
    with pytest.raises(ValueError, match=r'image 0 of the batch has shape \(5, 7\)'):
        pixels.check_channels([torch.zeros(5, 7)])


def test_three_channels_pass(make_images):
    pixels.check_channels(make_images(2, 3, 4, 5))
    pixels.check_channels([make_images(3, 4, 5), make_images(3, 2, 2)])


# What is no pixels ---------------------------------------------------------------------------------------------------


def _spread(low: float, high: float) -> torch.Tensor:
    return torch.linspace(low, high, 48).view(3, 4, 4)


def _with(value: float) -> torch.Tensor:
    return torch.full((3, 4, 4), 100.0).index_fill(2, torch.tensor([1]), value)


NOT_PIXELS = {
    'ToTensor': (_spread(0, 1), 'float32 values from 0 to 1, .* 0-255: remove ToTensor'),
    'Normalize': (_spread(-2.1, 2.6), 'float32 values from -2.1 to 2.6, .* 0-255: remove Normalize'),
    'half': (_spread(-2.1, 2.6).half(), 'float16 values from -2.0.* remove Normalize'),
    'mean alone': (_spread(-120, 135), 'float32 values from -120 to 135, .*: remove Normalize'),
    'NaN': (_with(torch.nan), 'float32 values from nan to nan.*non-finite'),
    'infinite': (_with(torch.inf), 'float32 values from 100 to inf.*non-finite'),
    '16 bit': (_spread(0, 65000).to(torch.uint16), 'uint16 values from 0 to .*: load 8 bit'),
    'dark 16 bit': (_spread(0, 47).to(torch.uint16), 'uint16 values from 0 to .*: load 8 bit'),
    '12 bit': (_spread(0, 4000).to(torch.int32), 'int32 values from 0 to 4000, .*: load 8 bit'),
    'signed': (_spread(-20, 27).to(torch.int8), 'int8 values from -20 to 27'),
    'bool': (torch.ones(3, 4, 4, dtype=torch.bool), 'bool values from 1 to 1, .*: make it uint8'),
    '16 bit as float': (_spread(0, 65000), 'float32 values from 0 to 65000, .*: load 8 bit'),
}


@pytest.mark.parametrize('augmented', [False, True])
@pytest.mark.parametrize('how', NOT_PIXELS)
def test_what_is_no_pixels_is_named_with_its_range(how, augmented):
    image, message = NOT_PIXELS[how]
    good = torch.full_like(image, 1) if how == 'bool' else torch.zeros_like(image)
    if augmented and how == 'mean alone':
        # Brightness, contrast and saturation of floats go as far.
        pixels.check_pixels([image], augmented=True)
        return
    first = 'a' if how in ('bool', '16 bit', 'dark 16 bit') else 'b'
    for images in ([good, image], torch.stack([good, image])):
        with pytest.raises(ValueError, match=rf'{first}\.png has ' + message):
            pixels.check_pixels(images, ['a.png', 'b.png'], augmented)
    with pytest.raises(ValueError, match='image 0 of the batch has'):
        pixels.check_pixels([image], augmented=augmented)


def test_dark_images_are_pixels(make_images):
    """Their type tells, or that all values are whole."""
    black = torch.zeros(3, 4, 5, dtype=torch.uint8)
    dark = (torch.arange(60).view(3, 4, 5) % 2).to(torch.uint8)
    for image in (black, dark, make_images(3, 4, 5), make_images(3, 4, 5).to(torch.uint8)):
        for dtype in (torch.uint8, torch.int64, torch.float32, torch.float16):
            pixels.check_pixels([image.to(dtype)])
            pixels.check_pixels(image.to(dtype)[None])
    # Interpolation of floats rounds.
    pixels.check_pixels([torch.full((3, 4, 5), 255.00002)])


def test_bytes_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(pixels, '_value_ranges', lambda images: 1 / 0)
    pixels.check_pixels(torch.zeros(2, 3, 4, 5, dtype=torch.uint8))
    pixels.check_pixels([torch.zeros(3, 4, 5, dtype=torch.uint8)])


def test_photometric_augmentation_may_leave_the_range():
    bright = torch.linspace(-40, 420, 48).view(3, 4, 4)
    pixels.check_pixels([bright], augmented=True)
    with pytest.raises(ValueError, match='from -40 to 420'):
        pixels.check_pixels([bright])


def test_channels_are_swapped(make_images):
    images = make_images(2, 3, 4, 5)
    assert torch.equal(pixels.swap_channels(images), images[:, [2, 1, 0]])
    assert all(torch.equal(a, b) for a, b in zip(pixels.swap_channels(list(images)), images[:, [2, 1, 0]]))
