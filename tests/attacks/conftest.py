from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmadvdefense.attacks import AttackSource, Randomness, build_attack


@pytest.fixture(params=['tensor', 'list', 'bgr'])
def host(request, make_classifier, image_batch):
    """A source in train mode (left so by its user), and images in each form that hosts take them."""
    model = make_classifier(to_rgb=request.param == 'bgr')
    images = list(image_batch.images) if request.param == 'list' else image_batch.images

    def logits(images):
        """The model as its authors would run it, without anything of the package."""
        native = model.data_preprocessor
        images = torch.stack(list(images))
        training = [module for module in model.modules() if module.training]
        model.eval()
        output = model(((images.flip(1) if native.to_rgb else images) - native.mean) / native.std)
        for module in training:
            module.training = True
        return output

    return SimpleNamespace(
        model=model,
        source=AttackSource(model),
        images=images,
        batch=image_batch,
        labels=image_batch.labels,
        logits=logits,
    )


@pytest.fixture
def run_attack():
    """Attack with one seed an image; returns what the attack returns."""

    def run(config, source, images, samples, seeds=None):
        randomness = Randomness(list(range(len(images))) if seeds is None else seeds)
        return build_attack(dict(config))(source, images, samples, randomness)

    return run


class _UnitRange(nn.Module):
    def __init__(self, host):
        super().__init__()
        self.host = host
        self.shown = 0

    def forward(self, images):
        self.shown += len(images)
        native = self.host.data_preprocessor
        return self.host((images * 255 - native.mean) / native.std)


@pytest.fixture
def as_library_model():
    """A host as torchattacks takes models, without anything of the package: images in [0, 1] to logits.

    It counts the images that it is ``shown``.
    """
    return _UnitRange


class _Values(nn.Module):
    """Pixel values as features."""

    def forward(self, images):
        return (images.flatten(1),)


@pytest.fixture
def linear(make_classifier):
    """Three classes, linear in the 48 values of images of 4 x 4 pixels."""
    head = dict(type='LinearClsHead', num_classes=3, in_channels=3 * 4**2)
    return make_classifier(_Values(), nn.Identity(), head=head, num_classes=3)


@pytest.fixture
def query_host(make_classifier, make_samples):
    """A linear classifier of five classes, six images that it classifies rightly, and a record of what it was shown.

    The nearest boundary is 36 to 64 pixels (L2) away: noise of 8 pixels (L-infinity) or 150 (L2) has a standard
    deviation of 8 and 5 in that direction, while 3 pixels on the right values are enough.
    """
    generator = torch.Generator().manual_seed(2)
    head = dict(type='LinearClsHead', num_classes=5, in_channels=3 * 16 * 16)
    model = make_classifier(_Values(), nn.Identity(), head=head).eval()
    native = model.data_preprocessor
    coarse = torch.randn(5, 3, 8, 8, generator=generator)
    normals = F.interpolate(coarse, (16, 16), mode='bilinear') / 100
    model.head.fc.weight.data = (normals * native.std).flatten(1)

    def logits(images):
        """The model as its authors would run it."""
        return F.linear(
            ((images - native.mean) / native.std).flatten(1), model.head.fc.weight, model.head.fc.bias
        ).detach()

    images = 64 + 128 * torch.rand(200, 3, 16, 16, generator=generator)
    labels = logits(images).argmax(1)
    leads = logits(images).gather(1, labels[:, None]) - logits(images)
    lengths = (normals[labels][:, None] - normals).flatten(2).norm(dim=2)
    distance = (leads / lengths).nan_to_num(torch.inf).amin(1)
    chosen = ((distance > 36) & (distance < 64)).nonzero().flatten()[:6]
    samples = make_samples(6)
    for sample, label in zip(samples, labels[chosen].tolist()):
        sample.set_gt_label(label)
    shown = []
    model.register_forward_hook(lambda module, inputs, output: shown.append((inputs[0].detach(), output.detach())))
    return SimpleNamespace(
        model=model,
        source=AttackSource(model),
        images=images[chosen],
        samples=samples,
        labels=labels[chosen],
        distance=distance[chosen],
        normals=normals,
        logits=logits,
        shown=shown,
        pixels=lambda inputs: inputs * native.std + native.mean,
    )
