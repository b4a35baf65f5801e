"""What all purifiers have in common: one table, and one row of it for each."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from torch.autograd import gradcheck

from mmadvdefense.attacks import BackwardPass
from mmadvdefense.models import build_model
from mmadvdefense.purifiers import GeneratorPurifier, Purifier
from mmadvdefense.randomness import Randomness

for _host in ('mmpretrain', 'mmseg', 'mmdet'):
    pytest.importorskip(_host)

SIZES = [(16, 12), (9, 20), (16, 12), (5, 6)]
SCOPES = {
    'mmpretrain': ('ClsDataPreprocessor', 'DataSample'),
    'mmseg': ('SegDataPreProcessor', 'SegDataSample'),
    'mmdet': ('DetDataPreprocessor', 'DetDataSample'),
}


class Case(NamedTuple):
    config: dict
    differentiable: bool = False
    stochastic: bool = False
    keeps_geometry: bool = True
    # Pixels: kernels add in another order for another number of images, and where a network is fitted, that grows.
    rounding: float = 1e-3
    # Whether it has weights, which a recipe trains and a checkpoint keeps.
    trained: bool = False
    # Of what takes a pass of its network for each pixel, images are smaller by this factor.
    shrink: int = 1


GENERATOR = dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)
TABLE = {
    'align': Case(dict(type='AlignPurifier', generator=GENERATOR), differentiable=True, trained=True),
    'align_at_working_size': Case(
        dict(type='AlignPurifier', generator=GENERATOR, working_size=(12, 12)), differentiable=True, trained=True
    ),
    'align_in_tiles': Case(
        dict(type='AlignPurifier', generator=GENERATOR, working_size=(12, 12), tile_size=(10, 8)),
        differentiable=True,
        trained=True,
    ),
    'ape_gan': Case(
        dict(type='APEGANPurifier', generator=dict(type='APEGANGenerator', base_channels=4)),
        differentiable=True,
        trained=True,
    ),
    'defense_gan': Case(
        dict(
            type='DefenseGANPurifier',
            num_steps=4,
            num_restarts=2,
            learning_rate=0.1,
            generator=dict(type='WGANGenerator', code_size=4, base_channels=2, image_size=(8, 8)),
        ),
        stochastic=True,
        rounding=2e-2,
        trained=True,
    ),
    'fpd': Case(
        dict(
            type='FPDPurifier',
            generator=dict(type='FPDGenerator', widths=(3, 4), blocks=(1, 1), channels=4, head_channels=(4,)),
        ),
        differentiable=True,
        trained=True,
    ),
    'hgd': Case(dict(type='HGDPurifier', generator=GENERATOR), differentiable=True, trained=True),
    'autoencoder': Case(
        dict(type='HGDPurifier', generator={**GENERATOR, 'type': 'DenoisingAutoEncoder'}),
        differentiable=True,
        trained=True,
    ),
    'smoothed': Case(
        dict(type='SmoothedPurifier', sigma=20, generator=GENERATOR),
        differentiable=True,
        stochastic=True,
        trained=True,
    ),
    'nrp': Case(
        dict(type='NRPPurifier', generator=dict(type='NRPGenerator', channels=4, num_blocks=1, growth=2)),
        differentiable=True,
        trained=True,
    ),
    'nrp_light': Case(
        dict(type='NRPPurifier', generator=dict(type='NRPGenerator', channels=4, num_blocks=1, light=True)),
        differentiable=True,
        trained=True,
    ),
    'pixel_defend': Case(
        dict(
            type='PixelDefendPurifier',
            generator=dict(type='PixelCNN', channels=4, num_blocks=1, num_levels=1, num_mixtures=1),
        ),
        trained=True,
        shrink=3,
    ),
    'oag': Case(
        dict(type='OAGPurifier', num_steps=4, image_steps=2, network=dict(type='EnergyNetworks', num_filters=2)),
        stochastic=True,
        rounding=2e-2,
    ),
    'dip': Case(
        dict(type='DIPPurifier', num_steps=4, network=dict(type='HourglassNetworks', widths=(4, 8))),
        stochastic=True,
        rounding=2e-2,
    ),
    'one_step_autoencoder': Case(
        dict(
            type='OneStepAutoEncoderPurifier',
            num_steps=4,
            network=dict(type='ScalarAutoEncoders', num_filters=2),
        ),
        stochastic=True,
        rounding=2e-2,
    ),
    'super_resolution': Case(
        dict(type='SuperResolutionPurifier', generator=dict(type='EDSR', channels=4, num_blocks=1)),
        differentiable=True,
        trained=True,
    ),
    'jpeg': Case(dict(type='JPEGPurifier', quality=30)),
    'bit_depth': Case(dict(type='BitDepthPurifier', bits=2)),
    'mean': Case(dict(type='MeanFilterPurifier', kernel_size=5), differentiable=True),
    'median': Case(dict(type='MedianFilterPurifier'), differentiable=True),
    'denoise': Case(dict(type='TotalVariationPurifier', drop_rate=0, steps=20), differentiable=True),
    'total_variation': Case(dict(type='TotalVariationPurifier', steps=20), differentiable=True, stochastic=True),
    'quilting': Case(dict(type='QuiltingPurifier')),
    'random_quilting': Case(dict(type='QuiltingPurifier', neighbours=5), stochastic=True),
    'resize_pad': Case(
        dict(type='RandomResizePadPurifier', min_scale=0.6), differentiable=True, stochastic=True, keeps_geometry=False
    ),
    'deflection': Case(dict(type='PixelDeflectionPurifier', deflections=20), stochastic=True),
    'chain': Case(
        dict(
            type='PurifierChain',
            purifiers=[dict(type='TotalVariationPurifier', steps=5), dict(type='MeanFilterPurifier')],
        ),
        differentiable=True,
        stochastic=True,
    ),
    'chain_with_jpeg': Case(
        dict(type='PurifierChain', purifiers=[dict(type='MedianFilterPurifier'), dict(type='JPEGPurifier')])
    ),
}


@pytest.fixture(params=TABLE, name='case')
def _case(request, patch_file) -> Case:
    case = TABLE[request.param]
    if case.config['type'] == 'PixelDeflectionPurifier':
        pytest.importorskip('skimage')
        pytest.importorskip('pywt')
    return case._replace(config=_with_patches(case.config, patch_file))


@pytest.fixture
def build(build_purifier):
    """A purifier whose random weights are those of a seed, as if it had been trained."""

    def build(config: dict, scope: str = 'mmpretrain', weights: int = 0) -> Purifier:
        with torch.random.fork_rng():
            torch.manual_seed(weights)
            purifier = build_purifier(config, scope)
        if isinstance(purifier, GeneratorPurifier):
            purifier.num_updates += 1
        return purifier

    return build


def _with_patches(config: dict, patch_file: str) -> dict:
    return {**config, 'patches': patch_file} if config['type'] == 'QuiltingPurifier' else config


@pytest.fixture
def purifier(case, build) -> Purifier:
    return build(case.config)


@pytest.fixture
def images(case, make_images) -> list[torch.Tensor]:
    sizes = [[side // case.shrink for side in size] for size in SIZES]
    return [make_images(3, *size, seed=index) for index, size in enumerate(sizes)]


def _seeds(*indices: int) -> Randomness:
    return Randomness([100 + index for index in indices])


def _skip_what_moves(case: Case, scope: str) -> None:
    if not case.keeps_geometry and scope != 'mmpretrain':
        pytest.skip('for classifiers only, which test_random_resize_pad.py tests')


# What is cleaned -----------------------------------------------------------------------------------------------------


def test_no_image_depends_on_its_neighbours(case, purifier, images):
    together = purifier.clean(images, _seeds(0, 1, 2, 3))
    assert len(together) == len(images)
    for index, (image, cleaned) in enumerate(zip(images, together)):
        assert cleaned.shape == image.shape and cleaned.dtype == torch.float32
        assert 0 <= cleaned.min() and cleaned.max() <= 255
        assert (cleaned - image).abs().max() > 1, 'it does something'
        assert torch.allclose(purifier.clean([image], _seeds(index))[0], cleaned, atol=case.rounding)
        assert torch.allclose(purifier.clean(image[None], _seeds(index))[0], cleaned, atol=case.rounding)
    stacked = purifier.clean(torch.stack([images[2], images[0]]), _seeds(2, 0))
    assert torch.allclose(stacked, torch.stack([together[2], together[0]]), atol=case.rounding)


def test_images_are_not_changed(purifier, images):
    before = [image.clone() for image in images]
    purifier.clean(images, _seeds(0, 1, 2, 3))
    assert all(map(torch.equal, images, before))


def test_seed(case, build, images):
    """Without an attacker's numbers they come from the seed and the image."""
    assert build(case.config).stochastic == case.stochastic
    results = []
    for seed in (0, 0, 1):
        settings = {**case.config, 'seed': seed} if case.stochastic else case.config
        purifier = build(settings)
        purifier.clean(images[:2])
        results.append(purifier.clean(images))
    assert all(map(torch.equal, results[0], results[1]))
    assert case.stochastic != all(map(torch.equal, results[0], results[2]))


def test_draws_move_on(case, purifier, images):
    """Two draws from one stream, as for the mean of gradients over draws."""
    stream = _seeds(0, 1, 2, 3)
    first, second = purifier.clean(images, stream), purifier.clean(images, stream)
    assert case.stochastic != all(map(torch.equal, first, second))


# Gradients -----------------------------------------------------------------------------------------------------------


def test_gradient(case, purifier):
    assert purifier.differentiable == case.differentiable
    noise = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    images = (noise * 150 + 50).requires_grad_()
    if case.differentiable:
        purifier.double()

        def clean(inputs):
            return purifier.clean(inputs, _seeds(0, 1))

        assert gradcheck(clean, images, atol=1e-4, eps=1e-4, fast_mode=True)
        return
    cleaned = purifier.clean(images.float(), _seeds(0, 1))
    if cleaned.requires_grad:
        (gradient,) = torch.autograd.grad(cleaned.sum(), images)
        assert not gradient.any()


@pytest.mark.parametrize('to_list', [False, True], ids=['tensor', 'list'])
def test_identity_on_the_backward_pass(purifier, images, to_list):
    images = images if to_list else torch.stack(images[::2])
    tracked = [image.clone().requires_grad_() for image in images]
    inputs = tracked if to_list else torch.stack(tracked)
    seeds = range(len(images))
    cleaned = BackwardPass(purifier.clean)(inputs, _seeds(*seeds))
    for image, expected in zip(cleaned, purifier.clean(images, _seeds(*seeds))):
        assert torch.equal(image, expected)
    weights = [torch.full_like(image, 2.0 + index) for index, image in enumerate(tracked)]
    loss = sum((image * weight).sum() for image, weight in zip(cleaned, weights))
    assert all(map(torch.equal, torch.autograd.grad(loss, tracked), weights))


def test_differentiable_ones_stay_on_the_device(case, purifier):
    """Whatever went through NumPy or the CPU would fail."""
    if not case.differentiable:
        pytest.skip('goes through NumPy, looks patches up, or draws what it fits')
    # What is asked once, whether it has been trained.
    purifier.clean(torch.zeros(2, 3, 16, 12), _seeds(0, 1))
    purifier.to('meta')
    images = torch.zeros(2, 3, 16, 12, device='meta')
    assert purifier.clean(images, _seeds(0, 1)).device.type == 'meta'


# In front of a host --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('scope', SCOPES)
@pytest.mark.parametrize('training', [False, True], ids=['test', 'train'])
def test_wraps_the_preprocessor_of_every_task(case, build, make_images, scope, training):
    _skip_what_moves(case, scope)
    if case.shrink > 1 and scope != 'mmpretrain':
        pytest.skip('for small images, which segmentation and detection have not')
    if case.trained and training:
        pytest.skip('takes clean images and adversarial ones, which tests/hooks is about')
    purifier = build(case.config, scope)
    native_type, sample_type = SCOPES[scope]
    assert type(purifier.native).__name__ == native_type
    assert purifier.native.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    build_sample = getattr(import_module(f'{scope}.structures'), sample_type)
    images = make_images(3, 3, 16 // case.shrink, 12 // case.shrink).to(torch.uint8)

    def data(inputs):
        samples = [build_sample(metainfo=dict(sample_idx=index, img_shape=(16, 12))) for index in range(3)]
        if scope == 'mmseg':
            for sample in samples:
                sample.gt_sem_seg = PixelData(data=torch.zeros(1, 16, 12))
        return dict(inputs=list(inputs), data_samples=samples)

    ours = purifier(data(images), training)
    draw = getattr(purifier, '_randomness', lambda *_: None)
    cleaned = purifier.clean(list(images.float()), draw(images, data(images)['data_samples']))
    expected = purifier.native(data(cleaned), training)
    assert torch.allclose(ours['inputs'], expected['inputs'], atol=1e-5)
    purifier.enabled = False
    expected = purifier.native(data(images), training)
    assert torch.equal(purifier(data(images), training)['inputs'], expected['inputs'])


def test_one_line_on_a_config(case, tmp_path):
    base = dict(
        default_scope='mmpretrain',
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='CIFARResNet', depth=8),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=64),
        ),
        data_preprocessor=dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True, pad_size_divisor=4),
    )
    Config(base).dump(tmp_path / 'base.py')
    (tmp_path / 'child.py').write_text(f"_base_ = './base.py'\ndata_preprocessor = {case.config!r}\n")
    model = build_model(str(tmp_path / 'child.py')).eval()
    purifier = model.data_preprocessor
    if case.trained:
        purifier.num_updates += 1
    assert type(purifier).__name__ == case.config['type']
    assert purifier.native.mean.flatten().tolist() == [1, 2, 3] and purifier.native.pad_size_divisor == 4
    inputs = purifier(dict(inputs=torch.full((2, 3, 15, 10), 90.0)))['inputs']
    assert inputs.shape == (2, 3, 16, 12) and model(inputs).isfinite().all()


def test_state_dict_round_trip(case, build, images):
    purifier, fresh = build(case.config), build(case.config, weights=1)
    state = purifier.state_dict()
    assert bool(state) == case.trained, "a target's own checkpoint is all that others need"
    assert case.trained != all(map(torch.equal, fresh.clean(images), purifier.clean(images)))
    fresh.load_state_dict(state)
    assert all(map(torch.equal, fresh.clean(images), purifier.clean(images)))


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='MeanFilterPurifier', kernel_size=4), 'MeanFilterPurifier: kernel_size must be odd .* got 4'),
        (dict(type='MedianFilterPurifier', kernel_size=-1), 'MedianFilterPurifier: kernel_size .* at least 1, got -1'),
        (dict(type='MedianFilterPurifier', kernel_size=2.5), 'kernel_size must be odd .* got 2.5'),
        (dict(type='BitDepthPurifier', bits=0), 'bits must be an integer in 1-8, got 0'),
        (dict(type='BitDepthPurifier', bits=9), 'bits .* got 9'),
        (dict(type='BitDepthPurifier', bits=2.5), 'bits .* got 2.5'),
        (dict(type='JPEGPurifier', quality=0), 'quality must be an integer in 1-100, got 0'),
        (dict(type='JPEGPurifier', quality=101), 'quality .* got 101'),
        (dict(type='JPEGPurifier', to_rgb=False), "JPEGPurifier needs channel_order='bgr' or 'rgb'"),
        (dict(type='PixelDeflectionPurifier', to_rgb=False), "PixelDeflectionPurifier needs channel_order='bgr'"),
        (dict(type='PixelDeflectionPurifier', deflections=0), 'deflections must be an integer >= 1, got 0'),
        (dict(type='PixelDeflectionPurifier', window=1.5), 'window must be an integer >= 1, got 1.5'),
        (dict(type='PixelDeflectionPurifier', sigma=0), r'sigma is in pixels \(0-255\) and must be > 0, got 0'),
        (dict(type='TotalVariationPurifier', weight=0), r'weight is in pixels \(0-255\) and must be > 0, got 0'),
        (dict(type='TotalVariationPurifier', drop_rate=1), 'drop_rate must be at least 0 and below 1, got 1'),
        (dict(type='TotalVariationPurifier', steps=0), 'steps must be an integer >= 1, got 0'),
        (dict(type='RandomResizePadPurifier', min_scale=0), 'min_scale must be above 0 and at most 1, got 0'),
        (dict(type='RandomResizePadPurifier', interpolation='cubic'), "'bilinear' or 'nearest', got 'cubic'"),
        (dict(type='QuiltingPurifier'), 'QuiltingPurifier needs patches .*tools/build_patches.py'),
        (dict(type='QuiltingPurifier', to_rgb=False, patches='x.pth'), "QuiltingPurifier needs channel_order='bgr'"),
    ],
    ids=lambda value: '-'.join(map(str, value.values())) if isinstance(value, dict) else '',
)
def test_bad_settings(build_purifier, config, message):
    with pytest.raises(ValueError, match=message):
        build_purifier({'to_rgb': True, **config})


@pytest.mark.parametrize('settings', [dict(neighbours=0), dict(neighbours=301), dict(overlap=3), dict(overlap=-1)])
def test_bad_settings_of_quilting(build_purifier, patch_file, settings):
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=rf'QuiltingPurifier: {name} must be an integer .* got {value}'):
        build_purifier(dict(type='QuiltingPurifier', patches=patch_file, **settings))


def test_the_table_has_all_that_are_registered():
    with DefaultScope.overwrite_default_scope('mmdet'):
        listed = {MODELS.get(case.config['type']) for case in TABLE.values()}
    known = {cls for cls in MODELS.module_dict.values() if isinstance(cls, type) and issubclass(cls, Purifier)}
    assert {cls for cls in known if cls.__module__.startswith('mmadvdefense.')} == listed
