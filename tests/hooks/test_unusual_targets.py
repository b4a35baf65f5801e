"""Training and testing in front of targets that are not one class an image, nor a channel a class."""

import copy
import itertools
import math

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch.utils.data import Dataset

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.hooks import AttackHook
from mmadvdefense.purifiers import STEP
from mmadvdefense.training import preparation

_serial = itertools.count()
SIZE = (32, 32)
PURIFIER = dict(
    type='AlignPurifier',
    generator=dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1),
    discriminator=dict(type='MultiscaleDiscriminator', base_channels=4, num_layers=2, num_scales=2),
)
LOSSES = [dict(type='PixelReconstructionLoss'), dict(type='FeatureReconstructionLoss'), dict(type='ClassAlignmentLoss')]
ATTACKS = {
    'cross_entropy': dict(type='BIM', eps=8, step_size=4, steps=2),
    'kl': dict(type='PGD', eps=8, step_size=4, steps=2, random_start='normal', objective='kl'),
    'task_loss': dict(type='BIM', eps=8, step_size=4, steps=2, objective='task_loss'),
    'targeted': dict(type='BIM', eps=8, step_size=4, steps=2, targeted='random'),
}
SEGMENTOR = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        base_channels=8,
        stem_channels=8,
        num_stages=1,
        strides=(1,),
        dilations=(1,),
        out_indices=(0,),
        norm_cfg=dict(type='BN'),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=8,
        in_index=0,
        channels=8,
        num_convs=1,
        num_classes=2,
        out_channels=1,
        threshold=0.4,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
CLASSIFIER = dict(
    type='ImageClassifier', backbone=dict(type='CIFARResNet', depth=8), neck=dict(type='GlobalAveragePooling')
)
HEADS = {
    'labels': dict(type='MultiLabelLinearClsHead', num_classes=4, in_channels=64),
    'tasks': dict(
        type='MultiTaskHead',
        in_channels=64,
        task_heads=dict(
            kind=dict(type='LinearClsHead', num_classes=3), tags=dict(type='MultiLabelLinearClsHead', num_classes=4)
        ),
    ),
}


class Images(Dataset):
    """Four images with ground truth of one kind."""

    metainfo: dict = {}

    def __init__(self, kind):
        self.kind = kind
        self.images = torch.randint(256, (4, 3, *SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=self.images[index], data_samples=getattr(self, self.kind)(index))

    def mask(self, index):
        from mmseg.structures import SegDataSample

        mask = torch.zeros(1, *SIZE, dtype=torch.long)
        mask[..., 8 * index :] = 1
        mask[:, :4, :4] = 255
        meta = dict(img_path=f'{index}.png', img_shape=SIZE, ori_shape=SIZE)
        return SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=mask))

    def labels(self, index):
        from mmpretrain.structures import DataSample

        labels = ([0, 3], [], [1], [2])[index]
        return DataSample(metainfo=dict(img_path=f'{index}.png', num_classes=4)).set_gt_label(labels)

    def tasks(self, index):
        from mmpretrain.structures import DataSample, MultiTaskDataSample

        sample = MultiTaskDataSample(metainfo=dict(img_path=f'{index}.png'))
        sample.set_field(self.labels(index), 'tags')
        if index != 1:
            sample.set_field(DataSample().set_gt_label(index % 3), 'kind')
        return sample


class Spy(Hook):
    priority = 'LOWEST'

    def __init__(self):
        self.outputs, self.pairs = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if STEP in data_batch:
            step = data_batch[STEP]
            self.pairs.append(list(zip(step.clean, step.adversarial)))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.outputs.append({name: float(value) for name, value in outputs.items()})


@pytest.fixture
def make_runner(tmp_path):
    def make(kind, hooks=(), purifier=None, evaluator=None):
        scope = 'mmseg' if kind == 'mask' else 'mmpretrain'
        pytest.importorskip(scope)
        preparation.enter_scope(Config(dict(default_scope=scope)))
        native = dict(mean=[120.0] * 3, std=[60.0] * 3)
        native.update(dict(size=SIZE, seg_pad_val=255) if kind == 'mask' else dict(num_classes=4))
        native.update(purifier or dict(type='SegDataPreProcessor' if kind == 'mask' else 'ClsDataPreprocessor'))
        model = SEGMENTOR if kind == 'mask' else {**CLASSIFIER, 'head': HEADS[kind]}
        loader = dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate' if kind == 'mask' else 'default_collate'),
            dataset=Images(kind),
        )
        test = dict(test_dataloader=loader, test_cfg=dict(), test_evaluator=evaluator) if evaluator else {}
        train = dict(
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        )
        torch.manual_seed(0)
        runner = Runner(
            model=ConfigDict(copy.deepcopy({**model, 'data_preprocessor': native})),
            work_dir=str(tmp_path / 'work'),
            **(test or train),
            default_hooks=dict.fromkeys(('logger', 'checkpoint')),
            custom_hooks=[*hooks],
            default_scope=scope,
            experiment_name=f'unusual_{next(_serial)}',
            log_level='WARNING',
            visualizer=None,
            randomness=dict(seed=3),
        )
        runner.model.init_weights()
        if kind == 'mask':
            # Scores on either side of the threshold, for images of noise.
            head, images = runner.model.decode_head, Images(kind).images.float()
            with torch.no_grad():
                head.conv_seg.weight *= 100
                scores = head(runner.model.eval().extract_feat((images - 120) / 60))
                head.conv_seg.bias -= scores.median() - math.log(0.4 / 0.6)
        return runner

    return make


@pytest.mark.parametrize('attack', ATTACKS)
@pytest.mark.parametrize('kind', ['mask', 'labels', 'tasks'])
def test_a_purifier_is_trained(kind, attack, make_runner):
    hook = dict(type='PurifierTrainHook', attack=ATTACKS[attack], losses=LOSSES, require_checkpoint=False)
    spy = Spy()
    runner = make_runner(kind, [hook, spy], PURIFIER)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner.train()
    changed = {name for name, value in runner.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith('data_preprocessor.') for name in changed)
    assert len(spy.outputs) == 2
    assert len(spy.pairs) == 2
    for losses, pairs in zip(spy.outputs, spy.pairs):
        assert all(torch.tensor(value).isfinite() for value in losses.values())
        assert losses['loss_align'] >= 0 and any(name.startswith('task_') for name in losses)
        assert all(0 < (clean - adversarial).abs().max() <= 8 + 1e-3 for clean, adversarial in pairs)


def test_adversarial_training(make_runner):
    spy = Spy()
    runner = make_runner('labels', [dict(type='AdversarialTrainingHook', attack=ATTACKS['cross_entropy']), spy])
    runner.train()
    assert len(spy.outputs) == 2 and all(output['loss'] > 0 for output in spy.outputs)


EVALUATORS = {
    'mask': dict(type='IoUMetric', iou_metrics=['mIoU']),
    'labels': dict(type='MultiLabelMetric', average='micro', items=['f1-score']),
    'tasks': dict(
        type='MultiTasksMetric',
        task_metrics=dict(kind=[dict(type='Accuracy', topk=(1,))], tags=[dict(type='AveragePrecision')]),
    ),
}
NUMBER = {'mask': 'mIoU', 'labels': 'multi-label/f1-score_micro', 'tasks': 'kind_accuracy/top1'}


@pytest.mark.parametrize('kind', EVALUATORS)
def test_clean_and_attacked_rows(kind, make_runner):
    """The clean row is the host's own number; the attack lowers the scores of the images."""
    attack = dict(type='PGD', eps=32, step_size=8, steps=6, random_start='uniform')
    rows = {}
    for name, hooks in {
        'host': [],
        'clean': [AttackHook(None, score_samples=True)],
        'attacked': [AttackHook(attack, score_samples=True)],
    }.items():
        runner = make_runner(kind, hooks, evaluator=copy.deepcopy(EVALUATORS[kind]))
        runner.test_dataloader.dataset.metainfo = dict(classes=('a', 'b')) if kind == 'mask' else {}
        runner.test_evaluator.dataset_meta = dict(classes=('a', 'b'))
        rows[name] = runner.test(), hooks[0].samples if hooks else None
    assert rows['clean'][0][NUMBER[kind]] == rows['host'][0][NUMBER[kind]]
    clean, attacked = rows['clean'][1], rows['attacked'][1]
    assert len(clean['score']) == 4 and all(0 <= score <= 1 for score in clean['score'])
    assert sum(attacked['score']) < sum(clean['score'])
    assert rows['attacked'][0]['perturbation/linf_max'] <= 32 + 1e-3
