"""Adversarial training on clean and adversarial images together, with terms that compare them."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner

from mmadvdefense.hooks import AdversarialTrainingHook
from mmadvdefense.training.mixed_precision import BFloat16OptimWrapper
from mmadvdefense.training.model_recipes import apply_recipes, recipe_names

pytest.importorskip('mmpretrain')
NATIVE = dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)
FGSM = dict(type='FGSM', eps=8)
SGD = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
STILL = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.0))
CADA = dict(type='DomainDiscriminatorLoss', hidden=8, feature_layer='pre_logits')
ATDA = dict(type='DomainAdaptationLoss', feature_layer='logits')


@pytest.fixture
def paired():
    """For the config of a model that is trained itself."""

    def make(*losses: dict, **settings) -> dict:
        own = ('train_on', 'task_weight', 'feature_layer', 'replaced')
        hook = {'train_on': 'both', **{name: settings.pop(name) for name in own if name in settings}}
        return dict(
            data_preprocessor=dict(_delete_=True, type='ClsDataPreprocessor', **NATIVE),
            custom_hooks=[dict(type='AdversarialTrainingHook', attack=FGSM, losses=losses, **hook)],
            **{'optim_wrapper': SGD, **settings},
        )

    return make


@pytest.fixture
def keep_model():
    kept = {}

    def keep(runner):
        kept['copy'] = copy.deepcopy(runner.model)

    return kept, keep


def scores(model, images):
    return model.head.fc(model.backbone((images - 79.8) / 90.9)[-1].mean((2, 3)))


def labels_of(batch):
    return torch.cat([sample.gt_label for sample in batch['data_samples']])


def test_trades_by_hand(train, paired, keep_model, target_checkpoint):
    """Both halves in one pass in train mode, the clean one first; the host's own loss is left out."""
    kept, keep = keep_model
    loss = dict(type='TRADESLoss', beta=3.0)
    _, spy = train(keep, **paired(loss, task_weight=0.0, feature_layer='logits', optim_wrapper=STILL), images=4)
    model = kept['copy'].train()
    model.load_state_dict(torch.load(target_checkpoint, weights_only=True)['state_dict'])
    (batch,) = spy.batches
    inputs, labels = batch['inputs'], labels_of(batch)
    assert len(inputs) == 8 and torch.equal(labels[:4], labels[4:]) and torch.equal(inputs[:4], inputs[:4].round())
    assert 4 < (inputs[4:] - inputs[:4]).abs().max() <= 8
    clean, adversarial = scores(model, inputs).log_softmax(1).chunk(2)
    kl = (clean.exp() * (clean - adversarial)).sum(1).mean()
    ce = F.nll_loss(clean, labels[:4])
    expected = dict(loss=ce + 3 * kl, loss_trades_clean=ce, loss_trades_kl=3 * kl)
    assert spy.outputs[0] == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-4)


def test_weights_of_the_host_s_loss(train, paired, keep_model, target_checkpoint):
    kept, keep = keep_model
    losses = {}
    for name, given in {'both': {}, 'weighted': dict(task_weight=0.5), 'half': dict(train_on='half')}.items():
        _, spy = train(keep, **paired(**given, optim_wrapper=STILL), images=4)
        model = kept['copy'].train()
        model.load_state_dict(torch.load(target_checkpoint, weights_only=True)['state_dict'])
        (batch,) = spy.batches
        cross_entropy = F.cross_entropy(scores(model, batch['inputs']), labels_of(batch)).item()
        losses[name] = spy.outputs[0]['loss'] / cross_entropy
        changed = (batch['inputs'] - batch['inputs'].round()).flatten(1).abs().amax(1) > 0
        assert len(batch['inputs']) == (4 if name == 'half' else 8), changed
    assert losses == pytest.approx(dict(both=2, weighted=1, half=1), rel=1e-4)


def test_half_of_each_batch_is_attacked(train, paired):
    """The second half; of an odd number of images, one more is clean or attacked by turns."""
    clean, counts = {}, []

    def keep(runner):
        dataset = runner.train_dataloader.dataset
        clean.update({item['data_samples'].sample_idx: item['inputs'].float() for item in dataset})

    _, spy = train(keep, **paired(train_on='half'), images=24, batch_size=3)
    for batch in spy.batches:
        originals = torch.stack([clean[sample.sample_idx] for sample in batch['data_samples']])
        attacked = (batch['inputs'] - originals).abs().flatten(1).amax(1) > 0
        counts.append(int(attacked.sum()))
        assert attacked.tolist() == sorted(attacked.tolist()), 'clean images come first'
    assert set(counts) == {1, 2}


def test_what_terms_learn_is_trained_and_saved(train, paired, saving, tmp_path):
    runner, spy = train(**paired(CADA, ATDA), checkpoint=dict(saving), work_dir=str(tmp_path))
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    assert not [name for name in saved['state_dict'] if 'discriminator' in name], 'the model is as it was'
    learned = saved['adversarial_objective']
    assert {'0.discriminator.0.weight', '1.centers'} <= learned.keys() and learned['1.centers'].abs().sum() > 0
    groups = saved['optimizer']['param_groups']
    assert len(groups) == 2 and len(groups[1]['params']) == 4 and groups[1]['lr'] == groups[0]['lr']
    assert {'loss_cada_model', 'loss_cada_discriminator', 'loss_atda_margin', 'task_loss'} <= spy.outputs[0].keys()
    hook = next(hook for hook in runner.hooks if isinstance(hook, AdversarialTrainingHook))
    torch.testing.assert_close(
        hook.objective.losses.state_dict()['0.discriminator.0.weight'], learned['0.discriminator.0.weight']
    )
    assert not runner.model._forward_hooks and not runner.model._forward_pre_hooks


def test_resumed_training_equals_uninterrupted(train, paired, saving, tmp_path, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    schedule = dict(type='OneCycleLR', eta_max=0.1, total_steps=4, by_epoch=False)
    settings = paired(CADA, ATDA, dict(type='PrototypeConformityLoss', lr_mult=2.0))
    settings.update(checkpoint=dict(saving), param_scheduler=schedule)
    more = {'train_cfg.max_epochs': 2}
    train(work_dir=str(tmp_path / 'whole'), **settings, **more)
    first = str(tmp_path / 'whole' / 'epoch_1.pth')
    train(work_dir=str(tmp_path / 'on'), load_from=first, resume=True, **settings, **more)
    whole, on = (torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True) for name in ('whole', 'on'))
    for part in ('state_dict', 'adversarial_objective'):
        assert whole[part].keys() == on[part].keys()
        assert all(torch.equal(value, on[part][name]) for name, value in whole[part].items())
    rates = [group['lr'] for group in whole['optimizer']['param_groups']]
    assert rates == [group['lr'] for group in on['optimizer']['param_groups']]
    assert len(rates) == 3 and rates[1] == rates[0] and rates[2] == pytest.approx(2 * rates[0])


def test_terms_that_learn_start_anew_from_other_checkpoints(train, paired, saving, tmp_path):
    train(**paired(CADA), checkpoint=dict(saving), work_dir=str(tmp_path / 'cada'))
    first = str(tmp_path / 'cada' / 'epoch_1.pth')
    _, spy = train(**paired(dict(CADA, hidden=4)), load_from=first, work_dir=str(tmp_path / 'other'))
    assert spy.outputs[0]['loss_cada_discriminator'] > 0


def test_a_purifier_s_objective_does_not_learn(train):
    hook = dict(losses=[dict(type='PrototypeConformityLoss')])
    with pytest.raises(ValueError, match='PrototypeConformityLoss has to learn, for which it needs an Adversarial'):
        train(hook=hook, data_preprocessor=dict(discriminator=None))


def test_half_precision(train, paired, make_task_runner):
    """All terms that learn, under autocast on the CPU."""
    amp = dict(_delete_=True, type='BFloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
    terms = [CADA, ATDA, dict(type='PrototypeConformityLoss'), dict(type='TRADESLoss', feature_layer='logits')]
    _, spy = train(**paired(*terms, optim_wrapper=amp))
    assert all(value == value for losses in spy.outputs for value in losses.values()) and len(spy.outputs[0]) > 8
    config = Config(dict(recipe='ddc_at', custom_hooks=[]))
    apply_recipes(config)
    runner, spy = make_task_runner('mmseg', config.to_dict()['custom_hooks'])
    runner.optim_wrapper = BFloat16OptimWrapper(torch.optim.SGD(runner.model.parameters(), lr=0.01))
    runner.train()
    assert all(0 < spy.outputs[0][name] < 100 for name in ('loss_ddc_at', 'loss_ddc_at_mask'))


def test_one_loss_at_two_layers(train, paired):
    terms = [dict(type='PrototypeConformityLoss', feature_layer=layer) for layer in ('pre_logits', 'logits')]
    _, spy = train(**paired(*terms))
    assert {'loss_pcl_clean', 'loss_pcl_adv', 'loss_pcl_clean_logits', 'loss_pcl_adv_logits'} <= spy.outputs[0].keys()


# Recipes, by the one line --------------------------------------------------------------------------------------------

SCOPES = {
    'mmseg': ('sat', 'ddc_at'),
    'mmdet': ('cls', 'loc', 'con', 'mtd', 'cwat'),
    'mmpretrain': (
        'pgd', 'fast', 'nfgsm', 'free', 'awp', 'trades', 'trades_awp', 'mart',
        'pcl', 'pcl_ours', 'cada', 'cada_ours', 'atda', 'atda_ours'
    ),
}  # fmt: skip
SCHEDULES = ('finetune', 'short')
OWN_TERMS = {
    'trades': {'loss_trades_clean', 'loss_trades_kl'},
    'trades_awp': {'loss_trades_clean', 'loss_trades_kl'},
    'mart': {'loss_mart_bce', 'loss_mart_kl'},
    'pcl': {'loss_pcl_clean', 'loss_pcl_adv', 'loss_pcl_adv_logits'},
    'cada': {'loss_cada_model', 'loss_cada_discriminator'},
    'atda': {'loss_atda_mmd', 'loss_atda_coral', 'loss_atda_margin'},
    'pcl_ours': {'loss_feature_adv', 'loss_align', 'loss_intra', 'loss_inter_logits', 'loss_feature_adv_logits'},
    **{f'{name}_ours': {'loss_feature_adv', 'loss_align', 'loss_inter', 'loss_intra'} for name in ('cada', 'atda')},
    'ddc_at': {'loss_ddc_at', 'loss_ddc_at_mask', 'task_aux.loss_ce'},
}  # fmt: skip


def test_every_recipe_is_tested():
    assert {*sum(SCOPES.values(), ()), *SCHEDULES} == set(recipe_names())


def changed(runner, before) -> set[str]:
    state = runner.model.state_dict()
    return {name for name, value in before.items() if not torch.equal(state[name], value)}


@pytest.mark.parametrize('name', SCOPES['mmpretrain'])
def test_recipes_of_classifiers(name, make_config, quick_runners):
    from fixtures.runners import Spy

    config = make_config(
        batch_size=4,
        data_preprocessor=dict(_delete_=True, type='ClsDataPreprocessor', **NATIVE),
        optim_wrapper=SGD,
        custom_hooks=[],
    )
    config.recipe = name
    epochs = config.train_cfg
    apply_recipes(config)
    assert 'recipe' not in config
    config.train_cfg, config.param_scheduler = epochs, None
    config.update(dict.fromkeys(('val_dataloader', 'val_evaluator', 'val_cfg')))
    runner = Runner.from_cfg(config)
    spy = Spy()
    runner.register_hook(spy)
    runner.train()
    assert len(spy.outputs) == (16 if name == 'free' else 2)
    assert OWN_TERMS.get(name, {'loss'}) <= spy.outputs[0].keys()
    assert all(value == value and abs(value) < 1e5 for losses in spy.outputs for value in losses.values())
    plain = name in ('trades', 'trades_awp', 'mart')
    assert ('task_loss' in spy.outputs[0]) == (name in OWN_TERMS and not plain)


@pytest.mark.parametrize(('scope', 'name'), [(scope, name) for scope in ('mmseg', 'mmdet') for name in SCOPES[scope]])
def test_recipes_of_dense_models(scope, name, make_task_runner):
    config = Config(dict(recipe=name, custom_hooks=[]))
    apply_recipes(config)
    runner, spy = make_task_runner(scope, config.to_dict()['custom_hooks'])
    runner.train()
    (losses,) = spy.outputs
    assert OWN_TERMS.get(name, {'loss'}) <= losses.keys() and 0 < losses['loss'] < 1e4
    assert 'task_decode.loss_ce' not in losses
    assert len(spy.batches[0]['inputs']) == (4 if name == 'ddc_at' else 2)


def test_free_training_of_a_detector(make_task_runner):
    config = Config(dict(recipe='free', custom_hooks=[]))
    apply_recipes(config)
    # Eight take long.
    config.merge_from_dict({'custom_hooks.1.replays': 2, 'train_dataloader.batch_sampler.replays': 2})
    runner, spy = make_task_runner('mmdet', config.to_dict()['custom_hooks'])
    runner._train_dataloader.update(config.train_dataloader.to_dict())
    runner.train()
    assert len(spy.outputs) == 2 and all(0 < losses['loss'] < 1e4 for losses in spy.outputs)
    first, *_, last = (batch['inputs'] for batch in spy.batches)
    changes = [(new - old).abs().max().item() for new, old in zip(last, first)]
    assert changes == pytest.approx([8, 8], abs=1e-3)


def test_schedules_come_on_top(make_config):
    config = make_config(
        checkpoint=dict(interval=1),
        custom_hooks=[],
        optim_wrapper=SGD,
        param_scheduler=[dict(type='LinearLR', begin=0, end=1)],
    )
    config.recipe = ['trades', 'finetune']
    apply_recipes(config)
    assert config.train_cfg.max_epochs == 8 and config.param_scheduler.milestones == [5, 7]
    assert config.optim_wrapper.optimizer.lr == pytest.approx(0.02) and len(config.custom_hooks) == 1
    config.recipe = 'short'
    apply_recipes(config)
    assert 'max_epochs' not in config.train_cfg and config.train_cfg.max_iters == 6000
    config.train_cfg = dict(by_epoch=True, max_epochs=200)
    schedule = dict(type='MultiStepLR', milestones=[100, 150])
    config.param_scheduler = [schedule, dict(type='LinearLR', begin=0, end=500, by_epoch=False)]
    config.recipe = 'free'
    apply_recipes(config)
    assert config.train_cfg.max_epochs == 25 and config.param_scheduler[0].milestones == [12, 19]
    assert config.param_scheduler[1].end == 500
    config.recipe = 'trade'
    with pytest.raises(ValueError, match="unknown recipe 'trade'; did you mean trades"):
        apply_recipes(config)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(train_on='all'), 'train_on must be one of adversarial, half, both'),
        (dict(losses=[CADA]), "set train_on='both' instead of 'adversarial'"),
        (dict(task_weight=0.0), 'leaves nothing to train on'),
    ],
)
def test_bad_settings(given, message):
    with pytest.raises(ValueError, match=message):
        AdversarialTrainingHook(FGSM, **given)


@pytest.mark.parametrize(
    ('loss', 'message'),
    [
        (dict(type='PixelReconstructionLoss'), 'a loss term compares images, but without a purifier'),
        (dict(type='LSGANLoss'), 'needs the discriminator of images that an AlignPurifier has'),
        (
            dict(CADA, feature_layer='backbone.layer2'),
            'DomainDiscriminatorLoss needs the length of its feature vectors',
        ),
    ],
)
def test_terms_that_do_not_fit(train, paired, loss, message):
    with pytest.raises(ValueError, match=message):
        train(**paired(loss))
