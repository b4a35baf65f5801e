"""Minimal attacks on segmentors, pixel by pixel, and why there are none on detectors."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from torch import nn

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.models import build_model

CONFIGS = Path(__file__).parents[3] / 'configs' / 'target'
DEEPFOOL = dict(type='DeepFool', num_candidates=3)
MINIMAL = dict(type='CarliniWagner', steps=50, binary_search_steps=4, initial_const=1e-2, learning_rate=0.02)
BOUNDED = dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=5)
ALMA = dict(type='ALMAProx', steps=60, learning_rate=0.01)
PDPGD = dict(type='PDPGD', steps=60)
DAG = dict(type='DAG')
IGNORED = 11
ALL = pytest.mark.parametrize(
    'config',
    [DEEPFOOL, MINIMAL, BOUNDED, ALMA, PDPGD, DAG],
    ids=['deepfool', 'minimal', 'bounded', 'alma', 'pdpgd', 'dag'],
)


class Identity(nn.Module):
    def forward(self, x):
        return (x,)


def build(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(str(CONFIGS / name))


@pytest.fixture(scope='module')
def segmentor():
    pytest.importorskip('mmseg')
    model = build('light_pspnet_camvid.py')
    # Its own initialisation is so small that all pixels are of one class.
    nn.init.normal_(model.decode_head.conv_seg.weight, generator=torch.Generator().manual_seed(0))
    return model.eval()


@pytest.fixture
def pointwise(segmentor):
    """Two classes; a pixel's lead is ``(red + green + blue - 384) / 57`` and no pixel sees another."""
    head = dict(type='FCNHead', in_channels=3, channels=3, num_convs=0, concat_input=False)
    head.update(num_classes=2, ignore_index=IGNORED)
    with DefaultScope.overwrite_default_scope('mmseg'):
        config = ConfigDict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[128.0] * 3, std=[57.0] * 3),
            backbone=dict(type='ResNet', depth=18, base_channels=4, num_stages=1, strides=(1,), dilations=(1,)),
            decode_head=head,
            test_cfg=dict(mode='whole'),
        )
        config['backbone']['out_indices'] = (0,)
        model = MODELS.build(config)
    model.backbone = Identity()
    with torch.no_grad():
        model.decode_head.conv_seg.weight.copy_(torch.tensor([1.0, 0.0])[:, None, None, None].expand(2, 3, 1, 1))
        model.decode_head.conv_seg.bias.zero_()
    return model.eval()


def make_sample(mask):
    from mmseg.structures import SegDataSample

    size = tuple(mask.shape)
    return SegDataSample(metainfo=dict(img_shape=size, ori_shape=size), gt_sem_seg=PixelData(data=mask[None]))


def predictions(model, images):
    source = AttackSource(model)
    with torch.no_grad(), source.undisturbed():
        return source.logits(images).argmax(1)


@pytest.fixture
def scenes(segmentor):
    """Two images of which the model gets all pixels right, apart from an ignored corner."""
    images = torch.randint(256, (2, 3, 32, 40), generator=torch.Generator().manual_seed(1)).float()
    masks = predictions(segmentor, images)
    assert all(len(mask.unique()) > 1 for mask in masks)
    masks[:, :8, :8] = IGNORED
    return images, [make_sample(mask) for mask in masks]


def run(config, model, images, samples):
    attack = build_attack(config)
    return attack.run(AttackSource(model), images, samples, Randomness(list(range(len(images)))))


def wrong_share(model, images, samples):
    masks = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])
    known = masks != IGNORED
    return ((predictions(model, images) != masks) & known).flatten(1).sum(1) / known.flatten(1).sum(1)


@pytest.mark.parametrize('norm', ['l2', 'linf'])
def test_distance_to_the_boundaries_of_a_pointwise_model(norm, pointwise):
    """All pixels are equally far from their boundary: then the nearest images move all of them just as far."""
    images = torch.full((1, 3, 4, 5), 134.0)
    mask = torch.zeros(4, 5, dtype=torch.long)
    mask[0, 0], images[0, :, 0, 0] = IGNORED, 200.0
    result = run(dict(type='DeepFool', norm=norm, success_threshold=1), pointwise, images, [make_sample(mask)])
    expected = torch.full((3, 4, 5), -6.0 * 1.02)
    expected[:, 0, 0] = 0
    torch.testing.assert_close(result.images[0] - images[0], expected, rtol=1e-3, atol=2e-3)
    assert result.queries.tolist() == [2]


def test_the_smallest_l2_change_of_a_pointwise_model(pointwise):
    images = torch.full((1, 3, 4, 5), 134.0)
    mask = torch.zeros(4, 5, dtype=torch.long)
    mask[0, 0] = IGNORED
    result = run({**MINIMAL, 'success_threshold': 1}, pointwise, images, [make_sample(mask)])
    change = result.images - images
    assert change[0, :, 0, 0].abs().max() < 0.05
    expected = 6 * (3 * 19) ** 0.5
    assert expected <= change.norm().item() <= 1.05 * expected


@pytest.mark.parametrize(
    'config, share', [(DEEPFOOL, 0.5), (DEEPFOOL, 0.9), ({**MINIMAL, 'steps': 20, 'binary_search_steps': 2}, 0.7)]
)
def test_the_share_of_wrong_pixels_is_reached_and_costs(config, share, segmentor, scenes):
    images, samples = scenes
    result = run({**config, 'success_threshold': share}, segmentor, images, samples)
    assert (wrong_share(segmentor, images, samples) == 0).all()
    assert (wrong_share(segmentor, result.images, samples) >= share).all()
    less = run({**config, 'success_threshold': 0.2}, segmentor, images, samples)
    lengths = [(adversarial - images).flatten(1).norm(dim=1) for adversarial in (less.images, result.images)]
    assert (lengths[0] < lengths[1]).all() and (lengths[0] > 0).all()


@pytest.mark.parametrize('config', [ALMA, PDPGD], ids=['alma', 'pdpgd'])
def test_the_smallest_linf_change_of_a_pointwise_model(config, pointwise):
    """Half of the pixels are 6 from their boundary, the others 36; the ignored one does not count for either.

    Only ALMAProx leaves out pixels that the threshold does not need.
    """
    images = torch.full((2, 3, 4, 5), 134.0)
    images[:, :, :2] = 164
    images[:, :, 3, 4] = 255
    mask = torch.zeros(4, 5, dtype=torch.long)
    mask[3, 4] = IGNORED
    for share, expected in ((9 / 19, 6), (1, 36))[config is PDPGD :]:
        settings = {**config, 'success_threshold': share, 'steps': 150}
        result = run(settings, pointwise, images, [make_sample(mask)] * 2)
        change = (result.images - images).abs().flatten(1).amax(1)
        assert (change >= expected).all() and (change <= 1.05 * expected).all(), change
        assert torch.equal(result.images[:, :, 3, 4], images[:, :, 3, 4])
        assert result.queries.tolist() == [151, 151]


def test_dag_pulls_only_pixels_that_are_still_right(pointwise):
    """By a whole pixel a step, those that are nearer to their boundary stop sooner."""
    images = torch.full((1, 3, 4, 5), 134.0)
    images[:, :, 0], images[:, :, 3, 4] = 131.0, 200.0
    mask = torch.zeros(4, 5, dtype=torch.long)
    mask[3, 4] = IGNORED
    result = run({**DAG, 'gamma': 1, 'success_threshold': 1}, pointwise, images, [make_sample(mask)])
    # At 128 both classes are equal, and the first one, which is the true one, is predicted.
    expected = torch.full_like(images, 127.0)
    expected[:, :, 3, 4] = 200
    torch.testing.assert_close(result.images, expected, atol=1e-3, rtol=0)
    assert result.queries.tolist() == [8]
    half = run({**DAG, 'gamma': 1, 'success_threshold': 0.2}, pointwise, images, [make_sample(mask)])
    expected[:, :, 1:] = 130
    expected[:, :, 3, 4] = 200
    torch.testing.assert_close(half.images, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    'config',
    [
        {**DEEPFOOL, 'eps': 8, 'norm': 'linf', 'steps': 10},
        BOUNDED,
        {**ALMA, 'eps': 8, 'steps': 20},
        {**PDPGD, 'eps': 8, 'steps': 20},
        {**DAG, 'eps': 8, 'gamma': 2, 'steps': 10},
    ],
)
def test_bounded_forms_stay_in_the_ball(config, segmentor, scenes):
    images, samples = scenes
    adversarial = run(config, segmentor, images, samples).images
    size = (adversarial - images).abs().flatten(1).amax(1)
    assert (size > 0).all() and (size <= 8 + 1e-3).all()
    assert (wrong_share(segmentor, adversarial, samples) > 0.2).all()


@pytest.mark.parametrize('config', [DEEPFOOL, MINIMAL, ALMA, PDPGD, {**DAG, 'towards': 'random'}])
def test_what_is_wrong_or_unlabelled_stays(config, segmentor, scenes):
    images, (sample, _) = scenes
    wrong = (sample.gt_sem_seg.data[0] + 1) % 11
    samples = [make_sample(wrong), make_sample(torch.full((32, 40), IGNORED))]
    result = run(config, segmentor, images, samples)
    assert torch.equal(result.images, images)
    assert result.queries.tolist() == [1, 1]


@ALL
def test_an_image_does_not_depend_on_its_batch(config, segmentor, scenes):
    images, samples = scenes
    config = {**config, 'steps': 3}
    together = run(config, segmentor, images, samples)
    attack = build_attack(config)
    alone = attack.run(AttackSource(segmentor), images[1:], samples[1:], Randomness([1]))
    assert ((alone.images[0] - together.images[1]).abs() < 0.1).float().mean() > 0.98


@ALL
def test_detectors_have_no_class_scores(config):
    pytest.importorskip('mmdet')
    source = AttackSource(build('light_ssd_bccd.py'))
    calls = []
    source.model.data_preprocessor.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(ValueError, match=r'needs class scores.*a detector.*PGD.*cls\+loc'):
        build_attack(config)(source, torch.zeros(1, 3, 32, 32), [{}], Randomness(0))
    assert not calls


@pytest.mark.parametrize(
    'config, row',
    [
        ('deepfool_cls_test', 'DeepFool (L-inf 7.905, 50 steps, projected)'),
        ('deepfool_seg_test', 'DeepFool (L-inf 7.65, 20 steps, projected)'),
        ('deepfool_l2', 'DeepFool (minimal L2, 50 steps)'),
        ('carlini_wagner_cls_test', 'CarliniWagner (L-inf 7.905, margin loss, 8 steps)'),
        ('carlini_wagner_seg_test', 'CarliniWagner (L-inf 7.65, margin loss, 4 steps)'),
        ('alma_prox_seg_test', 'ALMAProx (L-inf 7.65, 100 steps, projected)'),
        ('pdpgd_seg_test', 'PDPGD (L-inf 7.65, 100 steps, projected)'),
        ('dag_seg_test', 'DAG (L-inf 7.65, 200 steps, projected)'),
        ('carlini_wagner_l2', 'CarliniWagner (minimal L2, 9 x 1000 steps)'),
    ],
)
def test_configs(config, row):
    path = CONFIGS.parent / 'attacks' / f'{config}.py'
    assert build_attack(Config.fromfile(path).attack).describe() == row
