"""The rewritten step of the released code has the values of our terms and runs the networks as often as it says."""

from collections import Counter

import torch

from mmadvdefense.losses import ClassAlignmentLoss
from mmadvdefense.purifiers import STEP


def test_class_terms_are_those_of_our_loss(released_step):
    clean, vectors = torch.randn(2, 30, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(-1, 5, (30,), generator=torch.Generator().manual_seed(1))
    theirs = released_step.class_terms(clean, vectors, labels)
    ours = ClassAlignmentLoss(hinge=True, margin=5.0)(clean, vectors, labels.where(labels >= 0, -100))
    for name in ('align', 'inter', 'intra'):
        torch.testing.assert_close(theirs[name], ours[f'loss_{name}'])


def test_terms_are_those_of_our_step(ready, train_step_benchmark, released_step):
    runner, hook = ready()
    data = next(train_step_benchmark.batches(runner))
    released = released_step.ReleasedStep(runner, hook)
    hook.before_train_iter(runner, 0, data)
    clean, adversarial = data[STEP].clean, data[STEP].adversarial
    terms, _, _ = released.losses(clean, adversarial, data['data_samples'])
    weights = {
        'loss_pixel_clean': ('pixel', 50),
        'loss_gan_generator': ('gan_generator', 1),
        'loss_gan_discriminator': ('gan_discriminator', 1),
        'loss_feature_matching': ('matching', 10),
        'loss_align': ('align', 0.1),
        'loss_inter': ('inter', 0.005),
        'loss_intra': ('intra', 1),
    }
    model = runner.model
    ours = model(**model.data_preprocessor(data, True), mode='loss')
    ours['loss_pixel_clean'] = ours['loss_pixel_clean'] + ours['loss_pixel_adv']
    for name, (theirs, weight) in weights.items():
        torch.testing.assert_close(ours[name], weight * terms[theirs], rtol=1e-3, atol=1e-5, msg=name)
    torch.testing.assert_close(
        ours['loss_feature_clean'] + ours['loss_feature_adv'], 4 * terms['feature'], rtol=1e-3, atol=1e-5
    )
    torch.testing.assert_close(ours['task_loss'], 2 * terms['task'], rtol=1e-3, atol=1e-5)


def test_a_step_trains_and_wastes_what_it_says(ready, train_step_benchmark, released_step):
    runner, hook = ready()
    purifier = runner.model.data_preprocessor
    released = released_step.ReleasedStep(runner, hook)
    runs: Counter = Counter()
    for name, module in (('G', purifier.generator), ('D', purifier.discriminator), ('O', runner.model.backbone)):
        module.register_forward_hook(lambda *_, name=name: runs.update([name]))
    # A residual generator's last layer starts at zero; after a step every layer has a gradient.
    source = train_step_benchmark.batches(runner)
    released(next(source))
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runs.clear()
    released(next(source))
    # Two runs of O in each step of the attack, one for the clean features, one for each half.
    assert runs == {'G': 2, 'D': 4, 'O': 2 * hook.attack.steps + 3}
    after = runner.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    trained = {f'data_preprocessor.{name}' for name, _ in purifier.named_parameters()}
    assert {name for name in changed if 'running' not in name and 'num_batches' not in name} == trained
    assert all(parameter.grad is not None for parameter in runner.model.backbone.parameters())


def test_adversarial_images_stay_in_the_budget(ready, train_step_benchmark, released_step):
    runner, hook = ready()
    data = next(train_step_benchmark.batches(runner))
    released = released_step.ReleasedStep(runner, hook)
    clean = runner.model.data_preprocessor.load_pixels(data['inputs'], data['data_samples'])
    adversarial = released.adversarial(clean, data['data_samples'])
    assert 1 < (adversarial - clean).abs().max() <= hook.attack.eps + 1e-3
    assert adversarial.min() >= 0 and adversarial.max() <= 255
