"""Several purifiers in front of one native preprocessor."""

from __future__ import annotations

import pytest
import torch

from mmadvdefense.purifiers import PurifierChain
from mmadvdefense.purifiers.trained.export import save_purifier_export
from mmadvdefense.randomness import Randomness

MEAN = dict(type='MeanFilterPurifier')
MEDIAN = dict(type='MedianFilterPurifier')
BITS = dict(type='BitDepthPurifier', bits=1)
RESIZE = dict(type='RandomResizePadPurifier', min_scale=0.5)
VARIATION = dict(type='TotalVariationPurifier', steps=5)
GENERATOR = dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1)


@pytest.fixture
def chain(build_purifier):
    def build(*purifiers: dict, **settings) -> PurifierChain:
        return build_purifier(dict(type='PurifierChain', purifiers=list(purifiers), **settings))

    return build


def test_in_order(chain, build_purifier, make_images):
    images = make_images(2, 3, 12, 16)
    mean, bits = build_purifier(MEAN), build_purifier(BITS)
    one, other = chain(MEAN, BITS).clean(images), chain(BITS, MEAN).clean(images)
    assert torch.equal(one, bits.clean(mean.clean(images)))
    assert torch.equal(other, mean.clean(bits.clean(images)))
    assert not torch.equal(one, other)


def test_one_native_preprocessor(chain, make_images):
    """Members normalise nothing, know the order of the channels, and go along to another device."""
    purifier = chain(dict(type='JPEGPurifier'), MEDIAN, dict(type='PurifierChain', purifiers=[MEDIAN]))
    assert type(purifier.native).__name__ == 'ClsDataPreprocessor'
    members = [*purifier.purifiers, *purifier.purifiers[2].purifiers]
    assert {type(member.native).__name__ for member in members} == {'BaseDataPreprocessor'}
    assert {member.channel_order for member in members} == {'bgr'}
    images = make_images(2, 3, 12, 16)
    expected = purifier.native(dict(inputs=purifier.clean(images)))['inputs']
    assert torch.equal(purifier(dict(inputs=images))['inputs'], expected)
    purifier.to('meta')
    assert {member.native.device.type for member in [purifier, *members]} == {'meta'}
    assert {member.device.type for member in members} == {'meta'}


def test_what_members_are_the_chain_is(chain):
    assert chain(MEDIAN, VARIATION).differentiable and not chain(MEDIAN, BITS).differentiable
    assert not chain(MEDIAN, jpeg_quality=80).differentiable
    assert chain(MEDIAN, VARIATION).stochastic and not chain(MEDIAN, BITS).stochastic
    assert not chain(MEDIAN, RESIZE).keeps_geometry and chain(MEDIAN, VARIATION).keeps_geometry


def test_members_draw_one_after_another(chain, build_purifier, make_images):
    images = make_images(2, 3, 12, 16)
    stream = Randomness([5, 6])
    resize = build_purifier(RESIZE)
    expected = resize.clean(resize.clean(images, stream), stream)
    assert torch.equal(chain(RESIZE, RESIZE).clean(images, Randomness([5, 6])), expected)


def test_the_seed_is_the_chain_s(chain, make_images):
    images = make_images(2, 3, 12, 16)
    first, again, other = (chain(RESIZE, seed=seed).clean(images) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_step_of_its_own_after_all(chain, build_purifier, make_images):
    images = make_images(2, 3, 12, 16)
    jpeg = build_purifier(dict(type='JPEGPurifier', quality=20))
    expected = jpeg.clean(chain(MEDIAN).clean(images))
    assert torch.equal(chain(MEDIAN, jpeg_quality=20).clean(images), expected)


# With a trained member -----------------------------------------------------------------------------------------------


def test_a_trained_member(chain, build_purifier, make_images, tmp_path):
    trained = build_purifier(dict(type='AlignPurifier', generator=GENERATOR))
    trained.num_updates += 3
    save_purifier_export(trained.export(), tmp_path / 'purifier.pth')
    exported = dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'purifier.pth')))
    purifier = chain(MEDIAN, exported)
    images = make_images(2, 3, 12, 16)
    with torch.no_grad():
        expected = trained.clean(build_purifier(MEDIAN).clean(images))
        assert torch.equal(purifier.clean(images), expected)
    fresh = chain(MEDIAN, dict(type='AlignPurifier', generator=GENERATOR))
    with pytest.raises(RuntimeError, match='AlignPurifier is untrained'):
        fresh(dict(inputs=images))
    fresh.load_state_dict(purifier.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh.clean(images), expected)


def test_does_not_train_its_members(chain, make_images):
    data = dict(inputs=make_images(2, 3, 12, 16))
    nested = dict(type='PurifierChain', purifiers=[dict(type='AlignPurifier', generator=GENERATOR)])
    message = r'PurifierChain does not train its AlignPurifier: train it alone.*export_purifier\.py.*init_cfg'
    with pytest.raises(RuntimeError, match=message):
        chain(MEDIAN, nested)(data, training=True)
    purifier = chain(MEDIAN, BITS)
    assert torch.equal(purifier(data, training=True)['inputs'], purifier(data)['inputs'])


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('purifiers', 'message'),
    [
        ([], 'PurifierChain needs at least one purifier'),
        ([MEDIAN, dict(type='JPGPurifier')], r"purifiers\[1\] has type 'JPGPurifier', .*did you mean JPEGPurifier"),
        ([dict(type='ClsDataPreprocessor')], r"purifiers\[0\] has type 'ClsDataPreprocessor', which is not a purifier"),
        ([dict(quality=75)], r'purifiers\[0\] has type None'),
        ([dict(RESIZE, seed=3)], r'purifiers\[0\] \(RandomResizePadPurifier\) has seed, a setting of the chain'),
        ([dict(MEDIAN, native_type='mmpretrain.ClsDataPreprocessor')], 'has native_type, a setting of the chain'),
        ([MEDIAN, dict(BITS, mean=[1, 2, 3])], r"PurifierChain: purifiers\[1\] \(BitDepthPurifier\): .*'mean'"),
        ([dict(BITS, bits=11)], 'bits must be an integer in 1-8, got 11'),
    ],
)  # fmt: skip
def test_mistakes(chain, purifiers, message):
    with pytest.raises(ValueError, match=message):
        chain(*purifiers)
