"""What guides HGD's denoiser: pixels, features, logits or labels, on adversarial images alone, for all three tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.hooks import Hook

from mmadvdefense.hooks import PurifierTrainHook

pytest.importorskip('mmpretrain')
OBJECTIVES = Path(__file__).parents[2] / 'configs' / '_base_' / 'defenses'
GUIDES = ('pixel', 'feature', 'logits', 'label')
GENERATOR = dict(type='DUNet', widths=(4, 6), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)
ATTACKS = {
    'mmpretrain': dict(type='FGSM', eps=8),
    'mmseg': dict(type='FGSM', eps=8),
    'mmdet': dict(type='FGSM', eps=8, objective='cls+loc'),
}


class InitialState(Hook):
    """The weights that the runner has given the model."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.values = {name: value.clone() for name, value in runner.model.state_dict().items()}


def objective(guide: str) -> dict:
    return Config.fromfile(OBJECTIVES / f'objective_hgd_{guide}.py').objective


@pytest.mark.parametrize('guide', GUIDES)
@pytest.mark.parametrize('scope', ATTACKS)
def test_one_iteration_trains_the_denoiser_alone(scope, guide, make_task_runner):
    hook = dict(type='PurifierTrainHook', attack=ATTACKS[scope], require_checkpoint=False, **objective(guide))
    runner, spy = make_task_runner(scope, [hook], dict(type='HGDPurifier', generator=GENERATOR))
    before = InitialState()
    runner.register_hook(before)
    runner.train()
    after = runner.model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before.values[name])}
    assert all(name.startswith('data_preprocessor.') for name in changed)
    assert {
        f'data_preprocessor.generator.{name}' for name, _ in runner.model.data_preprocessor.generator.named_parameters()
    } <= changed
    terms = {name for name in spy.outputs[0] if 'loss' in name} - {'loss'}
    if guide == 'label':
        assert terms and all(name.startswith('task_') for name in terms)
    else:
        assert terms == {'loss_pixel_adv' if guide == 'pixel' else 'loss_feature_adv'}
    assert 0 < spy.outputs[0]['loss'] < 1e4


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg'])
def test_budgets_and_labels_of_the_paper(scope, make_task_runner):
    """A budget an image, and the target's own prediction (of segmentation models, masks) as what is attacked."""
    attack = dict(type='RandomBudget', attack=dict(type='IFGSM', steps=2), eps=(1, 16))
    hook = dict(attack=attack, labels='predicted', require_checkpoint=False, **objective('logits'))
    runner, spy = make_task_runner(
        scope, [dict(type='PurifierTrainHook', **hook)], dict(type='HGDPurifier', generator=GENERATOR)
    )
    runner.train()
    (batch,) = spy.batches
    sizes = [(a - c).abs().max() for a, c in zip(batch['adversarial_inputs'], batch['inputs'])]
    assert all(1 - 1e-3 < size < 16 + 1e-3 and abs(size - size.round()) < 1e-3 for size in sizes)
    assert 0 < spy.outputs[0]['loss'] < 1e4


@pytest.fixture
def step(train):
    """One step of four digits with learning rate 0: the model, its batch and what was logged."""

    def run(guide: str, **hook):
        runner, spy = train(
            hook={'losses': [], **objective(guide), **hook},
            images=4,
            data_preprocessor=dict(_delete_=True, type='HGDPurifier', generator=GENERATOR, **_native()),
            optim_wrapper=dict(_delete_=True, optimizer=dict(type='SGD', lr=0.0)),
        )
        return runner.model, spy.batches[0], spy.outputs[0]

    return run


def _native() -> dict:
    return dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)


def test_guidance_by_hand(step):
    """Equations 1 and 3 of the paper. The denoiser normalises by the statistics of the adversarial batch alone."""
    for guide in GUIDES:
        model, batch, logged = step(guide)
        clean, adversarial = (batch[name] / 127.5 - 1 for name in ('inputs', 'adversarial_inputs'))
        labels = torch.cat([sample.gt_label for sample in batch['data_samples']])
        model.eval()
        generator = model.data_preprocessor.generator.train()
        with torch.no_grad():
            purified = generator(adversarial)
            maps, guide_maps = (
                model.backbone(((images + 1) * 127.5 - 79.8) / 90.9)[-1] for images in (purified, clean)
            )
            logits, guide_logits = (model.head.fc(maps.mean((2, 3))) for maps in (maps, guide_maps))
            expected = {
                'pixel': (purified - clean).abs().mean(),
                'feature': (maps - guide_maps).abs().mean(),
                'logits': (logits - guide_logits).abs().mean(),
                'label': F.cross_entropy(logits, labels),
            }[guide]
        assert logged['loss'] == pytest.approx(expected.item(), rel=1e-4), guide


def test_a_loss_of_purified_clean_images_has_none(step):
    with pytest.raises(ValueError, match="needs purified_clean.*train_on='adversarial'.*adv_guide='clean'"):
        step('label', losses=[dict(type='PixelReconstructionLoss', clean_weight=0.0)])
    with pytest.raises(ValueError, match='needs purified_clean'):
        step('label', losses=[dict(type='FeatureReconstructionLoss')])


def test_images_of_different_sizes(train):
    sizes = [[dict(type='Resize', scale=(size, 24))] for size in (20, 32)]
    _, spy = train(
        hook=objective('pixel'),
        pipeline=[dict(type='RandomChoice', transforms=sizes)],
        images=8,
        batch_size=8,
        data_preprocessor=dict(_delete_=True, type='HGDPurifier', generator=GENERATOR, **_native()),
        **{'train_dataloader.collate_fn.type': 'pseudo_collate'},
    )
    assert {tuple(image.shape) for image in spy.batches[0]['inputs']} == {(3, 24, 20), (3, 24, 32)}
    assert 0 < spy.outputs[0]['loss_pixel_adv'] < 1


def test_unknown_half():
    with pytest.raises(ValueError, match="train_on must be 'both', 'adversarial' or 'clean', got 'neither'"):
        PurifierTrainHook(attack=dict(type='FGSM', eps=8), train_on='neither')


@pytest.mark.parametrize('settings', [dict(attack=dict(type='FGSM', eps=8), train_on='clean'), {}], ids=['two', 'none'])
def test_clean_images_or_an_attack(settings):
    with pytest.raises(ValueError, match="train_on='clean' goes without an attack, and everything else needs one"):
        PurifierTrainHook(**settings)
