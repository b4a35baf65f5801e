from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.purifiers import STEP
from mmadvdefense.purifiers.transforms.wavelets import denoise_wavelets

for _host in ('mmpretrain', 'mmseg', 'mmdet'):
    pytest.importorskip(_host)
SMALL = dict(type='EDSR', channels=4, num_blocks=1)


@pytest.fixture
def build(build_purifier):
    def build(scope: str = 'mmpretrain', **settings):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            purifier = build_purifier(dict(type='SuperResolutionPurifier', generator=SMALL, **settings), scope)
        purifier.num_updates += 1
        return purifier

    return build


def test_the_default_is_the_published_network(build_purifier):
    with torch.device('meta'):
        purifier = build_purifier(dict(type='SuperResolutionPurifier'))
    assert sum(p.numel() for p in purifier.parameters()) == 1_369_859 and purifier.sigma == 2.55


def test_wavelets_then_edsr_then_back(build, make_images):
    purifier, images = build(sigma=10), make_images(2, 3, 9, 14)
    with torch.no_grad():
        denoised = denoise_wavelets(images, 10, bgr=True)
        enlarged = purifier.generator(denoised / 127.5 - 1)
        assert enlarged.shape[2:] == (18, 28)
        back = F.interpolate(enlarged, (9, 14), mode='bicubic', align_corners=False, antialias=True)
        torch.testing.assert_close(purifier.clean(images), ((back + 1) * 127.5).clamp(0, 255))


@pytest.mark.parametrize('sides', [(8, 8), (9, 14)])
def test_the_target_sees_the_enlarged_image(build, make_images, sides):
    purifier, images = build(resize_back=False, sigma=0), make_images(2, 3, *sides)
    with torch.no_grad():
        expected = ((purifier.generator(images / 127.5 - 1) + 1) * 127.5).clamp(0, 255)
        assert torch.equal(purifier.clean(images), expected)
        inputs = purifier(dict(inputs=list(images)))['inputs']
    assert inputs.shape == (2, 3, 2 * sides[0], 2 * sides[1]) and not purifier.keeps_geometry


def test_enlarging_does_not_move_the_content(build):
    """An image enlarged by repetition and resized back is where it was."""
    purifier = build(sigma=0)
    purifier.generator.forward = lambda images: F.interpolate(images, scale_factor=2, mode='nearest')
    ramp = torch.linspace(20, 230, 16).expand(1, 3, 12, 16).contiguous()
    assert (purifier.clean(ramp) - ramp)[..., 2:-2].abs().max() < 0.1


@pytest.mark.parametrize('to_list', [False, True], ids=['tensor', 'list'])
def test_trained_on_reduced_images(build, make_images, to_list):
    purifier = build().train()
    clean = [make_images(3, 8, 12, seed=0), make_images(3, 8, 12, seed=1)]
    if to_list:
        clean[1] = clean[1][:, :7, :9]
    step = SimpleNamespace(
        clean=clean if to_list else torch.stack(clean), adversarial=None, purifies_clean=True, images=None
    )
    given = purifier.forward({'inputs': clean, 'data_samples': None, STEP: step}, training=True)
    assert step.images.adversarial is None and step.images.purified_adversarial is None
    for image, restored, guide in zip(clean, step.images.purified_clean, step.images.clean):
        height, width = image.shape[1:]
        even = F.pad(image[None] / 127.5 - 1, (0, width % 2, 0, height % 2), mode='replicate')
        reduced = F.interpolate(even, ((height + 1) // 2, (width + 1) // 2), mode='bicubic', antialias=True)
        expected = purifier.generator(reduced)[0, :, :height, :width]
        torch.testing.assert_close(restored[:, :height, :width], expected)
        torch.testing.assert_close(guide[:, :height, :width], image / 127.5 - 1)
    assert len(given['inputs']) == 2 and given[STEP] is step


def test_attacked_images_are_not_what_it_is_trained_on(build, make_images):
    images = make_images(2, 3, 8, 8)
    step = SimpleNamespace(clean=images, adversarial=images, purifies_clean=True, images=None)
    with pytest.raises(ValueError, match=r"SuperResolutionPurifier is trained on clean.*train_on='clean'"):
        build().train().forward({'inputs': images, STEP: step}, training=True)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(sigma=-1), 'sigma is in pixels .* and must be >= 0, got -1'),
        (dict(working_size=(8, 8)), 'takes images at their own size: leave working_size out'),
        (dict(tile_size=(8, 8)), 'leave tile_size out'),
        (dict(generator=dict(type='DUNet', widths=(2,), encoder_units=(1,), decoder_units=())), 'that enlarges'),
        (dict(to_rgb=False), "needs channel_order='bgr' or 'rgb'"),
    ],
)
def test_bad_settings(build_purifier, settings, message):
    with pytest.raises(ValueError, match=message):
        build_purifier({'type': 'SuperResolutionPurifier', 'generator': SMALL, **settings})


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet'])
def test_boxes_and_masks_stay_where_they_are(build, scope):
    assert build(scope).keeps_geometry
    with pytest.raises(ValueError, match='SuperResolutionPurifier moves the image content'):
        build(scope, resize_back=False)
