"""A purifier trains inside MMEngine's own loops, and its target stays as it was, bit for bit."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.purifiers import PurifierDistributedDataParallel
from mmadvdefense.training.mixed_precision import BFloat16OptimWrapper

pytest.importorskip('mmpretrain')

AUGMENTATION = (
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
)
OBJECTIVES = Path(__file__).parents[2] / 'configs' / '_base_' / 'defenses'
PIXEL_ONLY = [dict(type='PixelReconstructionLoss', loss_weight=50.0)]


def _iterations(count: int) -> dict:
    return {'train_cfg': dict(_delete_=True, type='IterBasedTrainLoop', max_iters=count, val_interval=1000)}


def _parts(model: nn.Module) -> tuple[dict, dict]:
    """Copies of a model's state: the target's and the purifier's."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    purifier = {name: state.pop(name) for name in list(state) if name.startswith('data_preprocessor.')}
    return state, purifier


def _forward_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


# What training does --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('loop', [{}, _iterations(2)], ids=['epochs', 'iterations'])
def test_trains_the_purifier_and_nothing_else(train, target_checkpoint, loop):
    before = {}

    def note(runner):
        before['purifier'] = _parts(runner.model)[1]

    runner, spy = train(note, val_interval=1, **loop)
    target, purifier = _parts(runner.model)
    loaded = torch.load(target_checkpoint, weights_only=True)['state_dict']
    assert target.keys() == loaded.keys()
    assert all(torch.equal(target[name], loaded[name]) for name in target), 'parameters and BatchNorm statistics'
    assert spy.training == [[], []], 'the target is in eval mode in every iteration'
    for network in ('generator', 'discriminator'):
        names = [name for name in purifier if f'.{network}.' in name and name.endswith('weight')]
        assert names and all(not torch.equal(purifier[name], before['purifier'][name]) for name in names)
    assert int(purifier['data_preprocessor.num_updates']) == 2
    assert _forward_hooks(runner.model) == 0, 'handles are removed'


def test_terms_have_names_and_add_up(train):
    _, spy = train()
    assert list(spy.outputs[0]) == [
        'loss',
        'task_loss',
        'loss_pixel_clean',
        'loss_pixel_adv',
        'loss_gan_generator',
        'loss_gan_discriminator',
        'loss_feature_matching',
        'loss_feature_clean',
        'loss_feature_adv',
        'loss_align',
        'loss_inter',
        'loss_intra',
    ]
    for output in spy.outputs:
        total = output.pop('loss')
        assert total == pytest.approx(sum(output.values()), rel=1e-5)


def test_terms_of_weight_zero_are_absent(train):
    losses = [
        dict(type='PixelReconstructionLoss', adv_weight=0.0),
        dict(type='FeatureReconstructionLoss', loss_weight=0.0),
        dict(type='ClassAlignmentLoss', align_weight=0.0, inter_weight=0.0),
    ]
    _, spy = train(hook=dict(task_weight=0.0, losses=losses))
    assert list(spy.outputs[0]) == ['loss', 'loss_pixel_clean', 'loss_intra']


def test_validation_between_epochs_leaves_training_alone(train):
    runner, spy = train(**{'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 1})
    assert spy.training == [[]] * 4
    assert 0 <= runner.message_hub.get_scalar('val/accuracy/top1').current() <= 100


@pytest.mark.parametrize('collate', ['default_collate', 'pseudo_collate'])
def test_adversarial_images_are_the_attack_s(train, collate):
    """Inside the ball and the pixel range, not clean, and of the very model under training."""
    _, spy = train(
        hook=dict(attack=dict(type='PGD', eps=8, step_size=4, steps=2)), **{'train_dataloader.collate_fn.type': collate}
    )
    for batch in spy.batches:
        for clean, adversarial in zip(batch['inputs'], batch['adversarial_inputs']):
            assert clean.dtype == adversarial.dtype == torch.float32
            assert adversarial.min() >= 0 and adversarial.max() <= 255
            assert 4 < (adversarial - clean).abs().max() <= 8 + 1e-4
    assert type(spy.batches[0]['inputs']) is (torch.Tensor if collate == 'default_collate' else list)


def test_images_of_different_sizes(train):
    sizes = [[dict(type='Resize', scale=(size, 24))] for size in (20, 32)]
    _, spy = train(
        pipeline=[dict(type='RandomChoice', transforms=sizes)],
        images=16,
        batch_size=8,
        **{'train_dataloader.collate_fn.type': 'pseudo_collate'},
    )
    assert {tuple(image.shape) for image in spy.batches[0]['inputs']} == {(3, 24, 20), (3, 24, 32)}
    assert all(np.isfinite(list(output.values())).all() for output in spy.outputs)


@pytest.mark.parametrize('condition_on_labels', [False, True])
def test_a_discriminator_of_other_channels_is_refused_before_training(make_config, condition_on_labels):
    wanted = 13 if condition_on_labels else 3
    config = make_config(
        **{
            'data_preprocessor.discriminator.in_channels': 8,
            'data_preprocessor.condition_on_labels': condition_on_labels,
        }
    )
    runner = Runner.from_cfg(config)
    with pytest.raises(ValueError, match=rf'discriminator takes 8 channels, but images.* have {wanted}: .*={wanted}'):
        runner.train()


def test_the_discriminator_sees_the_labels(train):
    seen = []

    def watch(runner):
        purifier = runner.model.data_preprocessor
        purifier.discriminator.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))

    _, spy = train(watch, images=4, **{'data_preprocessor.condition_on_labels': True})
    labels = torch.cat([sample.gt_label for sample in spy.batches[0]['data_samples']])
    one_hot = F.one_hot(labels, 10)[:, :, None, None].expand(-1, -1, 32, 32)
    assert seen and all(torch.equal(image[:, 3:], one_hot.float()) for image in seen)


# With 19 classes in the segmentor.
DENSE_PURIFIER = dict(
    type='AlignPurifier',
    generator=dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1),
    discriminator=dict(type='MultiscaleDiscriminator', base_channels=4, num_layers=3, num_scales=1),
)


def _released(suffix):
    config = Config.fromfile(OBJECTIVES / f'objective_released_no_vgg_{suffix}.py')
    attack = dict(type='FGSM', eps=8, objective='task_loss')
    hook = dict(type='PurifierTrainHook', attack=attack, require_checkpoint=False, **config.objective)
    return hook, dict(DENSE_PURIFIER, **config.condition)


def test_released_objective_of_a_segmentor(make_task_runner):
    hook, purifier = _released('seg')
    purifier['discriminator'] = dict(purifier['discriminator'], in_channels=3 + 19)
    runner, spy = make_task_runner('mmseg', [hook], purifier)
    runner.train()
    assert {'loss_gan_discriminator', 'loss_feature_matching', 'loss_align', 'loss_intra'} <= spy.outputs[0].keys()
    assert np.isfinite(list(spy.outputs[0].values())).all()


def test_released_objective_of_a_detector(make_task_runner):
    hook, purifier = _released('det')
    runner, spy = make_task_runner('mmdet', [hook], purifier)
    runner.train()
    assert {'loss_align', 'loss_inter'} <= spy.outputs[0].keys() and 'loss_intra' not in spy.outputs[0]
    assert np.isfinite(list(spy.outputs[0].values())).all()


def test_a_detector_has_no_labels_for_its_discriminator(make_task_runner):
    hook, purifier = _released('det')
    purifier['discriminator'] = dict(purifier['discriminator'], in_channels=6)
    runner, _ = make_task_runner('mmdet', [hook], dict(purifier, condition_on_labels=True))
    with pytest.raises(ValueError, match='a detector has no label map'):
        runner.train()


# By hand -------------------------------------------------------------------------------------------------------------


def _discriminator_losses(discriminator, clean, adversarial):
    """Equations 2 and 3 as they stand in the paper: generator side, feature matching, discriminator side."""
    fake, guide = discriminator(adversarial), discriminator(clean.detach())
    generator_side = sum(((layers[-1] - 1) ** 2).mean() for layers in fake)
    matching = 0
    for layers, guide_layers in zip(fake, guide):
        for layer, guide_layer in zip(layers[:-1], guide_layers[:-1]):
            matching = matching + 4 / (len(layers) - 1) / len(fake) * (layer - guide_layer.detach()).abs().mean()
    real, fake = discriminator(clean.detach()), discriminator(adversarial.detach())
    discriminator_side = sum(((layers[-1] - 1) ** 2).mean() for layers in real) / 2
    discriminator_side = discriminator_side + sum((layers[-1] ** 2).mean() for layers in fake) / 2
    return generator_side, matching, discriminator_side


def test_losses_and_gradients_by_hand(train):
    """One step with learning rate 0, computed again without any of the package but its networks."""
    gradients = {}

    def keep_gradients(runner):
        for name, parameter in runner.model.data_preprocessor.named_parameters():
            parameter.register_post_accumulate_grad_hook(lambda p, name=name: gradients.update({name: p.grad.clone()}))

    runner, spy = train(
        keep_gradients,
        hook=dict(task_weight=3.0, feature_layer='logits'),
        images=4,
        optim_wrapper=dict(_delete_=True, optimizer=dict(type='SGD', lr=0.0)),
    )
    model, batch = runner.model.eval(), spy.batches[0]
    generator, discriminator = model.data_preprocessor.generator, model.data_preprocessor.discriminator
    labels = torch.cat([sample.gt_label for sample in batch['data_samples']])

    def logits(unit_images):
        images = (unit_images + 1) * 127.5
        features = model.backbone((images - 79.8) / 90.9)[-1].mean((2, 3))
        return model.head.fc(features)

    both = torch.cat([batch['inputs'], batch['adversarial_inputs']]) / 127.5 - 1
    purified = generator(both)
    clean, adversarial = purified.chunk(2)
    outputs = logits(purified)
    with torch.no_grad():
        z_clean = logits(both[: len(labels)])
    zp_clean, zp_adv = outputs.chunk(2)
    task = F.cross_entropy(outputs, labels.repeat(2))
    generator_side, matching, discriminator_side = _discriminator_losses(discriminator, clean, adversarial)
    expected = {
        # The host averages over the joint batch of 2B, the paper over B of each half: twice the weight.
        'task_loss': 2 * 3.0 * task,
        'loss_pixel_clean': 50 * (clean - both[: len(labels)]).abs().mean(),
        'loss_pixel_adv': 50 * (adversarial - clean).abs().mean(),
        'loss_gan_generator': generator_side,
        'loss_feature_matching': 10 * matching,
        'loss_feature_clean': 4 * (zp_clean - z_clean).abs().mean(),
        'loss_feature_adv': 4 * (zp_adv - z_clean).abs().mean(),
    }
    logged = spy.outputs[0]
    for name, value in expected.items():
        assert logged[name] == pytest.approx(value.item(), rel=1e-4), name
    assert logged['loss_gan_discriminator'] == pytest.approx(discriminator_side.item(), rel=1e-4)
    classes = sorted(set(labels.tolist()))
    centres = {k: (z_clean[labels == k].mean(0), zp_adv[labels == k].mean(0)) for k in classes}
    alignment = 0.1 * sum((c - a).abs().mean() for c, a in centres.values())
    inter = 0.005 * sum(
        F.relu(5 - (centres[k][1] - centres[i][1]).abs().mean()) for k in classes for i in classes if i != k
    )
    intra = 1.0 * sum((zp_adv[labels == k] - centres[k][1]).abs().mean(1).mean() for k in classes)
    for name, value in dict(loss_align=alignment, loss_inter=inter, loss_intra=intra).items():
        assert logged[name] == pytest.approx(float(value), rel=1e-4, abs=1e-6), name

    # G is moved by its own terms alone, D by its own alone, though one backward pass makes both.
    total = sum(expected.values()) + alignment + inter + intra
    for prefix, network, loss in (
        ('generator', generator, total),
        ('discriminator', discriminator, discriminator_side),
    ):
        by_hand = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        # A bias before an instance norm has no gradient but rounding noise.
        largest = max(gradient.abs().max().item() for gradient in by_hand)
        for (name, _), gradient in zip(network.named_parameters(), by_hand):
            ours = gradients[f'{prefix}.{name}']
            assert torch.allclose(ours, gradient, rtol=1e-3, atol=1e-5 * largest), f'{prefix}.{name}'


def test_gradient_accumulation_equals_one_large_batch(train):
    """All terms but the class alignment are means over images, so two halves with half the weight are the whole."""
    settings = dict(
        hook=dict(losses=[dict(type=name) for name in ('PixelReconstructionLoss', 'LSGANLoss', 'FeatureMatchingLoss')]),
        images=4,
    )
    optimizer = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.1))
    sampler = {'train_dataloader.sampler.shuffle': False}
    whole, _ = train(batch_size=4, optim_wrapper=optimizer, **settings, **sampler)
    halves, spy = train(batch_size=2, optim_wrapper={**optimizer, 'accumulative_counts': 2}, **settings, **sampler)
    assert len(spy.outputs) == 2
    ours, theirs = _parts(halves.model)[1], _parts(whole.model)[1]
    initial = _parts(Runner.from_cfg(whole.cfg).model)[1]
    for name in theirs:
        if name.endswith(('weight', 'bias')):
            step = (theirs[name] - initial[name]).abs().max()
            assert torch.allclose(ours[name], theirs[name], rtol=0, atol=1e-3 * step.item() + 1e-7), name


@pytest.mark.parametrize('losses', [None, PIXEL_ONLY], ids=['all terms', 'pixel'])
def test_mixed_precision(make_config, losses):
    gradients = {}
    config = make_config(hook=dict(losses=losses) if losses else None)
    runner = Runner.from_cfg(config)
    parameters = dict(runner.model.data_preprocessor.named_parameters())
    for name, parameter in parameters.items():
        parameter.register_post_accumulate_grad_hook(lambda p, name=name: gradients.update({name: p.grad.dtype}))
    runner.optim_wrapper = BFloat16OptimWrapper(torch.optim.Adam(runner.model.data_preprocessor.parameters()))
    runner.train()
    scalars = {name: history.current() for name, history in runner.message_hub.log_scalars.items()}
    terms = {name: value for name, value in scalars.items() if 'loss' in name}
    assert len(terms) > 2 and np.isfinite(list(terms.values())).all()
    assert gradients and set(gradients.values()) == {torch.float32}
    assert all(parameter.isfinite().all() for parameter in parameters.values())
    assert any('generator' in name for name in gradients)


# Repeatability -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
def test_resumed_training_equals_uninterrupted(
    make_config, saving, assert_same_training, tmp_path, monkeypatch, by_epoch
):
    """Augmentation, attacks and the order of images repeat; ``tools/train.py`` is killed for real in its own test."""
    # MMEngine waits two seconds whenever its loop by iterations has gone through the data.
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    # In the loop by iterations validation comes between the batches, and must not shift what they draw.
    changes = {'train_cfg.max_epochs': 4, 'train_cfg.val_interval': 1} if by_epoch else _iterations(8)
    checkpoint = dict(saving)
    if not by_epoch:
        changes['train_cfg']['val_interval'] = 2
        checkpoint |= dict(interval=2, by_epoch=False)
    names = ['epoch_2.pth', 'epoch_4.pth'] if by_epoch else ['iter_4.pth', 'iter_8.pth']
    attack = dict(type='PGD', eps=8, step_size=4, steps=1)
    settings = dict(pipeline=AUGMENTATION, hook=dict(attack=attack), checkpoint=checkpoint)
    scheduler = dict(type='LinearLR', start_factor=1.0, end_factor=0.0, begin=2, end=8, by_epoch=False)
    Runner.from_cfg(
        make_config(work_dir=str(tmp_path / 'whole'), param_scheduler=[scheduler], **settings, **changes)
    ).train()
    (tmp_path / 'parts').mkdir()
    shutil.copy(tmp_path / 'whole' / names[0], tmp_path / 'parts')
    # A new process would not have the old one's random state either.
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    Runner.from_cfg(
        make_config(
            work_dir=str(tmp_path / 'parts'),
            load_from=str(tmp_path / 'parts' / names[0]),
            resume=True,
            param_scheduler=[scheduler],
            **settings,
            **changes,
        )
    ).train()
    assert_same_training(tmp_path / 'whole' / names[1], tmp_path / 'parts' / names[1])
    first, last = (
        torch.load(tmp_path / 'whole' / name, weights_only=True)['state_dict'][
            'data_preprocessor.generator.head.weight'
        ]
        for name in names
    )
    assert not torch.equal(first, last)


# Mistakes ------------------------------------------------------------------------------------------------------------


def _wrong_checkpoint(path):
    torch.save({'state_dict': {'some.other.weight': torch.zeros(3)}}, path)
    return str(path)


def _smaller_head(path, checkpoint):
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    state['head.fc.weight'], state['head.fc.bias'] = torch.zeros(7, 64), torch.zeros(7)
    torch.save({'state_dict': state}, path)
    return str(path)


def test_checkpoints_that_do_not_fit(train, tmp_path, target_checkpoint):
    with pytest.raises(ValueError, match=r'wrong\.pth has nothing for this model|nothing for this model'):
        train(load_from=_wrong_checkpoint(tmp_path / 'wrong.pth'))
    with pytest.raises(ValueError, match='trained for 7 classes, the target has 10'):
        train(load_from=_smaller_head(tmp_path / 'seven.pth', target_checkpoint))


@pytest.mark.parametrize(
    ('settings', 'error', 'message'),
    [
        ({'load_from': None}, ValueError, 'random weights: set load_from'),
        ({'data_preprocessor': dict(type='ClsDataPreprocessor', generator=None)}, None, None),
        ({'custom_hooks': []}, RuntimeError, 'AlignPurifier got no adversarial images.*PurifierTrainHook'),
        (
            {'data_preprocessor.discriminator': None},
            ValueError,
            r'GAN or feature-matching term.*discriminator=dict\(type=',
        ),
        ({'hook': dict(attack=dict(type='FGSM', eps=-1))}, ValueError, 'FGSM: eps .* must be >= 0, got -1'),
        ({'hook': dict(attack=dict(type='BIM', eps=8, steps=2))}, ValueError, 'BIM: give step_size'),
        ({'hook': dict(attack=dict(type='BIM', eps=8, step_size=2))}, ValueError, 'BIM: give steps'),
        ({'hook': dict(attack=dict(type='BIMM', eps=8))}, ValueError, "unknown attack 'BIMM'; did you mean BIM"),
        (
            {'hook': dict(feature_layer='backbone.layer4')},
            ValueError,
            "no layer 'backbone.layer4'; did you mean .*layer3",
        ),
        (
            {'hook': dict(losses=[dict(type='PixelReconstructionLoss')] * 2)},
            ValueError,
            'duplicate names of loss terms: loss_pixel',
        ),
    ],
)
def test_mistakes_name_their_cause(train, settings, error, message):
    if error is None:
        native = dict(_delete_=True, type='ClsDataPreprocessor', num_classes=10, mean=[80.0] * 3, std=[90.0] * 3)
        with pytest.raises(ValueError, match=r'found ClsDataPreprocessor in front of ImageClassifier.*AlignPurifier'):
            train(data_preprocessor=native)
        return
    with pytest.raises(error, match=message):
        train(**settings)


def test_weights_from_elsewhere(train):
    runner, _ = train(hook=dict(require_checkpoint=False), load_from=None)
    assert int(runner.model.data_preprocessor.num_updates) == 2


def test_a_dataset_of_other_classes(train):
    with pytest.raises(ValueError, match='HandwrittenDigits has 3 classes, ImageClassifier predicts 10'):
        train(**{'train_dataloader.dataset.metainfo': dict(classes=('a', 'b', 'c'))})


@pytest.mark.parametrize('channels', [1, 4])
def test_images_without_three_channels(train, channels):
    """The message names the first such image."""
    from mmcv.transforms import BaseTransform
    from mmengine.registry import TRANSFORMS

    class Channels(BaseTransform):
        def transform(self, results):
            results['img'] = np.zeros((32, 32, channels), np.uint8)
            results['img_path'] = f'images/{results["sample_idx"]}.png'
            return results

    TRANSFORMS.register_module(name=f'Channels{channels}', module=Channels, force=True)
    with pytest.raises(ValueError, match=rf'images/\d\.png has shape \({channels}, 32, 32\).*3 channels'):
        train(pipeline=[dict(type=f'Channels{channels}')])


def test_a_wrapper_that_would_wait_for_the_target(tmp_path, make_config):
    runner = Runner.from_cfg(make_config())
    torch.distributed.init_process_group('gloo', f'file://{tmp_path}/rendezvous', rank=0, world_size=1)
    try:
        hook = PurifierTrainHook(dict(type='FGSM', eps=8))
        hook._checkpoint_loaded = True
        wrapped = MMDistributedDataParallel(runner.model)
        with pytest.raises(ValueError, match='MMDistributedDataParallel.*PurifierDistributedDataParallel'):
            hook.before_train(SimpleNamespace(model=wrapped, train_dataloader=SimpleNamespace(dataset=None)))
        hook.before_train(
            SimpleNamespace(
                model=PurifierDistributedDataParallel(runner.model), train_dataloader=SimpleNamespace(dataset=None)
            )
        )
        hook.after_train(None)
    finally:
        torch.distributed.destroy_process_group()
    assert not any(p.requires_grad for name, p in runner.model.named_parameters() if 'data_preprocessor' not in name)
