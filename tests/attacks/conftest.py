from types import SimpleNamespace

import pytest
import torch

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
