"""``protect`` on model objects: what it returns, and that the model stays as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from mmadvdefense.apis import ProtectedModule, as_host, protect, purifier_settings, record_purified
from mmadvdefense.attacks import PGD, AttackSource, Randomness
from mmadvdefense.errors import StateError, UsageError
from mmadvdefense.purifiers import MedianFilterPurifier
from mmadvdefense.registry import MODELS
from mmadvdefense.threats import build_source

MEAN, STD = (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)
MEDIAN = dict(type='MedianFilterPurifier', kernel_size=3)


def _median(images: torch.Tensor) -> torch.Tensor:
    """3x3 by hand; the purifier pads, so only the inner pixels are compared."""
    windows = images.unfold(2, 3, 1).unfold(3, 3, 1).flatten(-2)
    return windows.median(-1).values


def _data(batch) -> dict:
    return dict(inputs=batch.images, data_samples=copy.deepcopy(batch.samples))


def test_host_model(tiny_classifier, image_batch, export_file):
    model = tiny_classifier.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    native, plain = model.data_preprocessor, model.test_step(_data(image_batch))
    protected = protect(model, export_file)
    assert type(protected) is type(model) and protected.backbone is model.backbone
    assert model.data_preprocessor is native is protected.data_preprocessor.native
    with torch.no_grad(), record_purified(protected) as seen:
        results = protected.test_step(_data(image_batch))
        cleaned = protected.data_preprocessor.clean(image_batch.images)
        expected = model.test_step(dict(inputs=cleaned, data_samples=copy.deepcopy(image_batch.samples)))
        again = model.test_step(_data(image_batch))
    for ours, theirs in zip(results, expected):
        torch.testing.assert_close(ours.pred_score, theirs.pred_score, rtol=0, atol=0)
    assert not torch.equal(results[0].pred_score, plain[0].pred_score)
    assert all(torch.equal(ours.pred_score, theirs.pred_score) for ours, theirs in zip(again, plain))
    after = model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], value) for name, value in before.items())
    # Only the images that went through the purifier are recorded, and nothing after the block.
    assert len(seen) == 6
    protected.test_step(_data(image_batch))
    assert len(seen) == 6
    change = (cleaned - image_batch.images).permute(0, 2, 3, 1).numpy()
    for image, own, clean in zip(seen, change, cleaned):
        assert image.image.dtype == np.uint8 and image.image.shape == (12, 10, 3)
        np.testing.assert_array_equal(image.image, clean.permute(1, 2, 0).round().numpy())
        np.testing.assert_array_equal(image.change, own)
        assert image.linf == np.abs(own).max() > 1 and image.mean == pytest.approx(np.abs(own).mean())


def test_protected_host_model_is_attacked_like_any(tiny_classifier, image_batch):
    protected = protect(tiny_classifier, MEDIAN, channel_order='bgr')
    attack = PGD(eps=8, step_size=4, steps=2)
    gray_box, adaptive = (
        attack(build_source(protected, name), image_batch.images, image_batch.samples, Randomness(0))
        for name in ('gray-box', 'adaptive')
    )
    own = attack(AttackSource(tiny_classifier), image_batch.images, image_batch.samples, Randomness(0))
    assert torch.equal(gray_box, own) and not torch.equal(adaptive, own)
    # A purifier in front of a protected model takes the place of the one that is there.
    twice = protect(protected, dict(type='JPEGPurifier', quality=75))
    assert twice.data_preprocessor.native is tiny_classifier.data_preprocessor
    assert protected.data_preprocessor.channel_order == twice.data_preprocessor.channel_order == 'bgr'


def test_built_purifier_is_shared_and_not_rewired(tiny_classifier, image_batch):
    purifier = MedianFilterPurifier(kernel_size=3, native_type='mmengine.ImgDataPreprocessor')
    native = purifier.native
    protected = protect(tiny_classifier, purifier)
    assert purifier.native is native and protected.data_preprocessor.native is tiny_classifier.data_preprocessor
    with record_purified(protected) as seen:
        purifier(dict(inputs=image_batch.images))
    assert not seen


@pytest.fixture
def plain() -> nn.Module:
    """Scores that show every pixel: the mean of the inner 2x2 of each channel of a 4x4 image."""

    class Inner(nn.Module):
        def forward(self, inputs, scale=1.0):
            return scale * inputs[:, :, 1:3, 1:3].mean((2, 3))

    return Inner()


def test_plain_module(plain, make_images):
    """Purified pixels are normalized as the module's inputs were; outputs and further arguments are the module's."""
    images = make_images(2, 3, 4, 4)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    inputs = (images - mean) / std
    protected = protect(plain, MEDIAN, mean=MEAN, std=STD)
    expected = (_median(images).mean((2, 3)) - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(protected(inputs), expected)
    torch.testing.assert_close(protected(inputs, scale=2.0), 2 * expected)
    with record_purified(protected) as seen:
        protected(inputs)
    np.testing.assert_array_equal(seen[1].image[1:3, 1:3], _median(images)[1].permute(1, 2, 0).numpy())
    assert isinstance(protected, ProtectedModule) and protected.training == plain.training
    inputs.requires_grad_()
    assert torch.autograd.grad(protected(inputs).sum(), inputs)[0].abs().sum() > 0, 'attackers have a gradient'


def test_plain_module_in_the_order_of_the_purifier(plain, make_images, export_file):
    images = make_images(2, 3, 4, 4)
    inputs = images / 255
    options = dict(mean=(0, 0, 0), std=(255, 255, 255))
    same, other = (protect(plain, export_file, **options, trained_on=order) for order in ('rgb', 'bgr'))
    by_hand = protect(plain, export_file, **options)(inputs.flip(1)).flip(1)
    torch.testing.assert_close(other(inputs), by_hand)
    assert not torch.allclose(same(inputs), by_hand)


def test_plain_module_behind_a_purifier_of_the_zoo(plain, make_images):
    """It was trained on BGR, which its receipt says, and a plain module takes RGB unless told otherwise."""
    images = make_images(2, 3, 8, 8)
    options = dict(mean=(0, 0, 0), std=(255, 255, 255))
    rgb = protect(plain, 'zoo://align_resnet20_cifar10', **options)
    bgr = protect(plain, 'zoo://align_resnet20_cifar10', **options, channel_order='bgr')
    assert (rgb.swap_channels, bgr.swap_channels) == (True, False)
    assert rgb.data_preprocessor.channel_order == bgr.data_preprocessor.channel_order == 'bgr'
    torch.testing.assert_close(rgb(images / 255), bgr(images.flip(1) / 255).flip(1))


def test_wrong_units_are_named(plain, make_images):
    protected = protect(plain, MEDIAN, mean=(0, 0, 0), std=(1, 1, 1))
    with pytest.raises(UsageError, match=r'are pixels from 0 to 1, not 0-255: give protect\(\) what they'):
        protected(make_images(2, 3, 4, 4) / 255)
    with pytest.raises(UsageError, match=r'takes images \(N, 3, H, W\), got \(2, 1, 4, 4\)'):
        protect(plain, MEDIAN, mean=[0], std=[255])(torch.zeros(2, 1, 4, 4))


def test_plain_classifier_as_host(make_images, make_samples):
    pytest.importorskip('mmpretrain')
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    model = as_host(net, MEAN, STD)
    images, samples = make_images(4, 3, 8, 8), make_samples(4)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    logits = net((images - mean) / std)
    source = AttackSource(model)
    assert source.task.num_classes == 5
    torch.testing.assert_close(source.logits(images), logits)
    (first, *_) = model.test_step(dict(inputs=images, data_samples=copy.deepcopy(samples)))
    torch.testing.assert_close(first.pred_score, logits[0].softmax(0))
    assert int(first.pred_label) == int(logits[0].argmax())
    adversarial = PGD(eps=8, step_size=4, steps=3)(source, images, samples, Randomness(0))
    labels = torch.cat([sample.gt_label for sample in samples])
    clean_loss, loss = (
        nn.functional.cross_entropy(net((pixels - mean) / std), labels) for pixels in (images, adversarial)
    )
    assert loss > clean_loss + 1e-4
    losses = model(((images - mean) / std), samples, mode='loss')
    torch.testing.assert_close(losses['loss'], clean_loss)
    assert type(protect(model, MEDIAN)) is type(model)


@pytest.mark.parametrize(
    'purifier, message',
    [
        ('MedianFilterPurifer', r'nor a purifier; did you mean MedianFilterPurifier'),
        ('nowhere.pth', r"'nowhere.pth' is neither a file of tools/export_purifier.py nor a purifier"),
        ('general_resnet20_cifar10', r"is in the zoo: write 'zoo://general_resnet20_cifar10'"),
        (dict(kernel_size=3), r"needs a type, such as type='AlignPurifier'"),
        (3, r'not a int'),
    ],
)
def test_unknown_purifier(purifier, message):
    with pytest.raises(UsageError, match=message):
        purifier_settings(purifier)


def test_a_misspelt_setting(tiny_classifier):
    settings = dict(type='JPEGPurifier', qualty=75)
    with pytest.raises(UsageError, match=r"JPEGPurifier takes no 'qualty', .* built already; did you mean quality"):
        protect(tiny_classifier, settings)
    with pytest.raises(UsageError, match=r"no 'qualty', and neither does ImgDataPreprocessor behind it; did"):
        MODELS.build(dict(settings, native_type='mmengine.ImgDataPreprocessor'))


def test_what_does_not_fit(tiny_classifier, plain, image_batch):
    with pytest.raises(UsageError, match='ImageClassifier normalizes images itself'):
        protect(tiny_classifier, MEDIAN, mean=MEAN, std=STD)
    with pytest.raises(UsageError, match=r'Inner is not a model of mmpretrain.*give protect\(\) the mean and std'):
        protect(plain, MEDIAN)
    with pytest.raises(UsageError, match="trained_on must be 'bgr' or 'rgb', got 'gbr'"):
        protect(plain, MEDIAN, mean=MEAN, std=STD, trained_on='gbr')
    with pytest.raises(StateError, match='AlignPurifier is untrained'):
        protect(tiny_classifier, 'AlignPurifier')
    with pytest.raises(UsageError, match=r"takes no 'mean', and the preprocessor behind it is built already"):
        protect(tiny_classifier, dict(**MEDIAN, mean=[0.0] * 3))
    with pytest.raises(UsageError, match=r'has no purifier: put one in front of it with protect\(\)'):
        with record_purified(tiny_classifier):
            pass
