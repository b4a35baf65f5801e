"""Every attack, purifier and loss gives on a GPU what it gives on the CPU."""

import copy
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from mmadvdefense import losses as loss_terms
from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.purifiers import GeneratorPurifier

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')]
TESTS = Path(__file__).parents[1]


def _load(path: str):
    """A test module by its path, for its table."""
    spec = importlib.util.spec_from_file_location('table_of_' + Path(path).stem, TESTS / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ATTACKS = {
    **_load('attacks/test_attack_table.py').ATTACKS,
    **{
        name: dict(type=name, eps=8, step_size=2, steps=5, layers='backbone.stage1')
        for name in ('SSP', 'FDA', 'TAP', 'DR')
    },
    'deepfool': dict(type='DeepFool', eps=8, steps=10),
    'carlini_wagner': dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=8),
    'random_budget': dict(type='RandomBudget', attack=dict(type='PGD', steps=3), eps=(0, 12)),
}
QUERIES = _load('attacks/query/test_query_table.py').ATTACKS
PURIFIERS = _load('purifiers/test_every_purifier.py').TABLE


def on_both(model, config, images, samples):
    """The images of an attack on the CPU and on the GPU, on the CPU."""
    results = []
    for place in ('cpu', 'cuda'):
        source = AttackSource(copy.deepcopy(model).to(place))
        randomness = Randomness(list(range(len(images))))
        results.append(build_attack(config).run(source, images.to(place), samples, randomness).images.cpu())
    return results


@pytest.mark.parametrize('name', ATTACKS)
def test_attacks_by_gradient(name, tiny_classifier, image_batch):
    ours, theirs = on_both(tiny_classifier, ATTACKS[name], image_batch.images, image_batch.samples)
    # The sign of a gradient that is almost zero may turn, and the ways part from there.
    assert ((ours - theirs).abs() < 0.05).float().mean() > 0.97
    assert (ours != image_batch.images).any()


@pytest.mark.parametrize('name', QUERIES)
def test_attacks_by_queries(name, make_classifier, make_images, make_samples):
    model = make_classifier(num_classes=5).eval()
    images, samples = make_images(6, 3, 16, 16), make_samples(6)
    with torch.no_grad():
        labels = AttackSource(model).logits(images).argmax(1)
    for sample, label in zip(samples, labels.tolist()):
        sample.set_gt_label(label)
    ours, theirs = on_both(model, QUERIES[name], images, samples)
    # An answer on the boundary may turn; then the search of that image parts.
    same = ((ours - theirs).abs().flatten(1).amax(1) < 0.05).float().mean()
    assert same >= 0.5


@pytest.mark.parametrize('name', PURIFIERS)
def test_purifiers(name, make_images):
    config = dict(PURIFIERS[name].config)
    if config['type'] == 'QuiltingPurifier':
        pytest.skip('needs a file of patches')
    if config['type'] == 'PixelDeflectionPurifier':
        pytest.importorskip('skimage')
        pytest.importorskip('pywt')
    cleaned = []
    images = make_images(4, 3, 16, 12)
    for place in ('cpu', 'cuda'):
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            purifier = MODELS.build(dict(config, to_rgb=True))
        if isinstance(purifier, GeneratorPurifier):
            purifier.num_updates += 1
        purifier = purifier.to(place).eval()
        with torch.no_grad():
            cleaned.append(torch.as_tensor(purifier.clean(images.to(place), Randomness([1, 2, 3, 4]))).cpu())
    tolerance = max(0.05, 10 * PURIFIERS[name].rounding)
    assert ((cleaned[0] - cleaned[1]).abs() < tolerance).float().mean() > 0.99


@pytest.mark.parametrize('hinge', [True, False])
def test_class_alignment(hinge):
    generator = torch.Generator().manual_seed(0)
    clean, adversarial = torch.randn(2, 40, 16, generator=generator)
    labels = torch.randint(0, 7, (40,), generator=generator)
    values = []
    for place in ('cpu', 'cuda'):
        loss = loss_terms.ClassAlignmentLoss(hinge=hinge, num_classes=7)
        features = adversarial.clone().to(place).requires_grad_()
        parts = loss(clean.to(place), features, labels.to(place))
        sum(parts.values()).backward()
        values.append([*(part.detach().cpu() for part in parts.values()), features.grad.cpu()])
    for ours, theirs in zip(*values):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_gan_terms():
    torch.manual_seed(0)
    discriminator = MODELS.build(dict(type='MultiscaleDiscriminator', base_channels=4, num_layers=3, num_scales=2))
    real, fake = torch.rand(2, 2, 3, 32, 32)
    gan, matching = loss_terms.LSGANLoss(), loss_terms.FeatureMatchingLoss()
    values = []
    for place in ('cpu', 'cuda'):
        network = copy.deepcopy(discriminator).to(place)
        real_outputs, fake_outputs = network(real.to(place)), network(fake.to(place))
        value = gan.discriminator_loss(real_outputs, fake_outputs) + matching(fake_outputs, real_outputs)
        value.backward()
        values.append([value.detach().cpu(), *(parameter.grad.cpu() for parameter in network.parameters())])
    for ours, theirs in zip(*values):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
