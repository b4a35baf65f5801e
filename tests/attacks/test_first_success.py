"""Attacks one after the other, for as long as a model is right."""

import pytest
import torch

from mmadvdefense.attacks import AttackSource, EnsembleSource, FirstSuccess, Randomness, build_attack

WEAK = dict(type='FGSM', eps=1)
MEDIUM = dict(type='BIM', eps=4, step_sizes=[2, 1, 1])
STRONG = dict(type='BIM', eps=12, step_size=3, steps=6)


@pytest.fixture
def many(make_images, make_samples):
    return make_images(60, 3, 8, 8), make_samples(60)


def predictions(model, images):
    native = model.data_preprocessor
    with torch.no_grad():
        return model.eval()((images - native.mean) / native.std).argmax(1)


def labels_of(samples):
    return torch.cat([sample.gt_label for sample in samples])


def test_each_image_keeps_the_first_that_fools_the_model(tiny_classifier, many):
    images, samples = many
    source, labels = AttackSource(tiny_classifier), labels_of(samples)
    single = [build_attack(config)(source, images, samples, Randomness(0)) for config in (WEAK, MEDIUM, STRONG)]
    fooled = torch.stack([predictions(tiny_classifier, x) != labels for x in single])
    fooled[-1] = True
    first = fooled.int().argmax(0)
    assert set(first.tolist()) == {0, 1, 2}
    result = FirstSuccess([WEAK, MEDIUM, STRONG]).run(source, images, samples, Randomness(0))
    expected = torch.stack(single)[first, torch.arange(60)]
    close = (result.images - expected).abs().flatten(1).amax(1) < 1e-3
    # A sum in another order may turn the sign of a gradient that is almost zero.
    assert close.float().mean() > 0.95
    # The gradients of each attack that was run, and a look at its result, but for the last.
    assert result.queries.tolist() == [(2, 2 + 4, 2 + 4 + 6)[index] for index in first.tolist()]


def test_all_models_of_an_ensemble_must_be_fooled(make_classifier, many):
    images, samples = many
    models, labels = [make_classifier(seed=seed) for seed in (0, 5)], labels_of(samples)
    source = EnsembleSource([AttackSource(model) for model in models])
    weak = build_attack(WEAK)(source, images, samples, Randomness(0))
    wrong = torch.stack([predictions(model, weak) != labels for model in models])
    assert (wrong.any(0) & ~wrong.all(0)).any()
    result = FirstSuccess([WEAK, STRONG])(source, images, samples, Randomness(0))
    size = (result - images).abs().flatten(1).amax(1)
    assert torch.equal(size <= 1, wrong.all(0))


def test_targeted(tiny_classifier, many):
    images, samples = many
    towards = dict(targeted='top_wrong')
    source, weak = AttackSource(tiny_classifier), {**WEAK, **towards}
    attack = FirstSuccess([weak, {**STRONG, **towards, 'num_targets': 4}])
    assert attack.targeted == 'top_wrong'
    clean, labels = predictions(tiny_classifier, images), labels_of(samples)
    result = attack(source, images, samples, Randomness(0))
    found = predictions(tiny_classifier, result)
    small = (result - images).abs().flatten(1).amax(1) <= 1
    # Where the model errs from the start, the best wrong class is its answer already.
    assert small[clean != labels].all() and (found[small] != labels[small]).all()
    assert not small.all()


def test_images_of_different_sizes(pointwise_classifier, make_images, make_samples):
    """An image that is left alone in a smaller batch is attacked as it would be by itself."""
    sizes = [(12, 10), (5, 14), (4, 4), (9, 9), (3, 3)]
    images = [make_images(3, *size, seed=index) for index, size in enumerate(sizes)]
    samples = make_samples(5)
    attack = FirstSuccess(
        [dict(type='FGSM', eps=1, random_start='uniform'), dict(type='PGD', eps=90, step_size=40, steps=4, norm='linf')]
    )
    source = AttackSource(pointwise_classifier)
    together = attack(source, images, samples, Randomness([0, 1, 2, 3, 4]))
    strong = 0
    for index, (adversarial, image) in enumerate(zip(together, images)):
        alone = attack(source, [image], samples[index : index + 1], Randomness([index]))[0]
        assert adversarial.shape == image.shape
        assert ((adversarial - alone).abs() < 1e-2).float().mean() >= 0.99
        strong += bool((adversarial - image).abs().max() > 1)
    assert 0 < strong < 5


def test_what_it_says_of_itself():
    attack = FirstSuccess([WEAK, dict(type='PGD', eps=4, step_size=1, steps=2)])
    assert (attack.eps, attack.norm, attack.targeted, attack.stochastic) == (4, 'linf', False, True)
    assert attack.describe() == 'first success of FGSM (L-inf 1), PGD (L-inf 4, 2 steps)'
    assert not FirstSuccess([WEAK, STRONG]).stochastic
    assert attack.supports_eot and attack.access == 'gradients'


@pytest.mark.parametrize(
    'attacks, message',
    [
        ([], 'FirstSuccess needs at least one attack'),
        ([WEAK, dict(type='FGSM', eps=8, norm='l2')], r"attacks must have one norm, got \['linf', 'l2'\]"),
        ([WEAK, {**WEAK, 'targeted': 'random'}], r"attacks must have one targeted, got \[False, 'random'\]"),
        ([dict(type='FGSMM', eps=8)], "unknown attack 'FGSMM'"),
    ],
)
def test_bad_lists(attacks, message):
    with pytest.raises(ValueError, match=message):
        build_attack(dict(type='FirstSuccess', attacks=attacks))


def test_sources_without_gradients_are_named_by_the_attack_that_needs_them(tiny_classifier, many):
    source = AttackSource(tiny_classifier, gradients=False)
    with pytest.raises(ValueError, match='BIM needs gradients'):
        FirstSuccess([STRONG])(source, *many, Randomness(0))
