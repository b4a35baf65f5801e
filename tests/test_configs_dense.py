"""Every config for detection and segmentation builds; the small ones train on the real data if it is there."""

import itertools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, MODELS, TRANSFORMS, DefaultScope
from mmengine.runner import Runner

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.attacks import build_attack
from mmadvdefense.purifiers import AlignPurifier
from mmadvdefense.registry import HOOKS
from mmadvdefense.training import preparation, purifier_config, recipes

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')
ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / 'configs'
DETECTION = {'voc': 20, 'bccd': 3}
SEGMENTATION = {'cityscapes': 19, 'voc2012': 21, 'camvid': 11}
NUM_CLASSES = DETECTION | SEGMENTATION
LIGHT = ('light_ssd_bccd', 'light_fcos_bccd', 'light_pspnet_camvid', 'light_deeplabv3_camvid')
_serial = itertools.count()


def _data(path):
    return path.stem.removesuffix('_align').rpartition('_')[2]


TARGETS = sorted(path for path in (CONFIGS / 'target').glob('*.py') if _data(path) in NUM_CLASSES)
DEFENSES = sorted(path for path in (CONFIGS / 'defense').glob('*_align.py') if _data(path) in NUM_CLASSES)


def load(path):
    """As the tools do it."""
    config = Config.fromfile(path)
    preparation.enter_scope(config)
    purifier_config.prepare_purifier(config)
    preparation.drop_pretrained_backbones(config.model)
    for hook in config.get('custom_hooks', []):
        for loss in hook.get('losses', []):
            if loss.type == 'PerceptualLoss':
                loss.weights = 'random'
    return config


@pytest.fixture(autouse=True)
def _leave_the_scope():
    # The tools enter a scope for good; a test must not.
    current = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(current)


def test_configs_are_found():
    assert len(TARGETS) == 14 and len(DEFENSES) == 12
    trained = {path.stem for path in TARGETS}
    assert {path.stem.removesuffix('_align') for path in DEFENSES} <= trained, 'a defense without its target'


@pytest.mark.parametrize('path', [*TARGETS, *DEFENSES], ids=lambda path: f'{path.parent.name}-{path.stem}')
def test_data_and_evaluation(path):
    config = load(path)
    data = _data(path)
    assert config.default_scope == ('mmdet' if data in DETECTION else 'mmseg')
    with DATASETS.switch_scope_and_registry(None) as registry:
        pass
    for loader in (config.train_dataloader, config.val_dataloader):
        for dataset in loader.dataset.get('datasets', [loader.dataset]):
            assert all(TRANSFORMS.build(dict(step)) for step in dataset.pipeline)
            classes = dataset.get('metainfo', {}).get('classes') or registry.get(dataset.type).METAINFO['classes']
            assert len(classes) == NUM_CLASSES[data]
    assert config.test_dataloader == config.val_dataloader and config.test_evaluator == config.val_evaluator
    assert config.val_dataloader.dataset.test_mode


@pytest.mark.parametrize('path', TARGETS, ids=lambda path: path.stem)
def test_target_builds_and_runs(path, poisoned):
    config = load(path)
    with poisoned():
        # MMDetection's L2Norm holds what the memory held, until it is initialised.
        model = MODELS.build(config.model).eval()
        model.init_weights()
    assert all(value.isfinite().all() for value in model.state_dict().values())
    data = _data(path)
    head = model.bbox_head if data in DETECTION else model.decode_head
    assert head.num_classes == NUM_CLASSES[data]
    size = config.get('image_size', (64, 64))[::-1]
    with torch.no_grad():
        outputs = model(torch.rand(1, 3, *size), mode='tensor')
    assert all(output.isfinite().all() for output in _tensors(outputs))
    ignore_index = config.get('ignore_index', 255)
    if data in SEGMENTATION:
        heads = [model.decode_head, *([model.auxiliary_head] if model.with_auxiliary_head else [])]
        assert {head.ignore_index for head in heads} == {ignore_index} == {model.data_preprocessor.seg_pad_val}
        assert config.val_evaluator.get('ignore_index', 255) == ignore_index
        assert model.data_preprocessor.size == config.crop_size


@pytest.mark.parametrize('path', DEFENSES, ids=lambda path: path.stem)
def test_defense_builds(path):
    config = load(path)
    purifier = MODELS.build(config.model).data_preprocessor
    assert isinstance(purifier, AlignPurifier) and purifier.discriminator is not None
    assert purifier.channel_order == 'bgr'
    data = _data(path)
    hook = HOOKS.build(dict(config.custom_hooks[0]))
    names = [type(loss).__name__ for loss in hook.losses]
    assert len(names) == len(set(names)) == (5 if path.stem.startswith('light') else 6)
    assert hook.feature_layer == (None if path.stem.startswith('light') or data in DETECTION else 'pre_logits')
    assert config.load_from == f'checkpoints/{path.stem.removesuffix("_align")}.pth'
    if data in SEGMENTATION:
        assert purifier.native.size == config.crop_size
        assert purifier.native.seg_pad_val == config.get('ignore_index', 255)


@pytest.mark.parametrize(
    ('data', 'working_size', 'target_size', 'batch_size', 'epochs'),
    [
        ('voc', (256, 256), (300, 300), 4, 80),
        ('cityscapes', (512, 512), (425, 425), 1, 80),
        ('voc2012', (512, 512), (417, 417), 1, 20),
    ],
)
def test_hyper_parameters_of_the_paper(data, working_size, target_size, batch_size, epochs):
    for path in (path for path in DEFENSES if _data(path) == data):
        config = load(path)
        purifier = config.model.data_preprocessor
        assert purifier.working_size == working_size
        assert (config.get('image_size') or config.crop_size) == target_size
        assert purifier.get('tile_size') == (None if data == 'voc' else target_size), 'crops of training'
        assert purifier.generator == dict(type='GlobalGenerator', base_channels=64, num_downsamples=4, num_blocks=9), (
            'section 4.2'
        )
        assert purifier.discriminator == dict(
            type='MultiscaleDiscriminator', base_channels=64, num_layers=3, num_scales=2
        )
        assert config.train_dataloader.batch_size == batch_size == config.auto_scale_lr.base_batch_size
        assert config.train_cfg.max_epochs == epochs == 2 * config.param_scheduler.begin
        assert config.optim_wrapper.optimizer == dict(type='Adam', lr=2e-4, betas=(0.5, 0.999))
        attack = config.custom_hooks[0].attack
        if data == 'voc':
            assert attack == dict(type='FGSM', eps=8, objective='cls_or_loc')
        else:
            assert attack == dict(type='BIM', eps=0.03 * 255, step_size=0.01 * 255, steps=3)


@pytest.mark.parametrize(
    ('data', 'longer_side', 'scales'), [('cityscapes', 2048, (0.25, 1.0)), ('voc2012', 500, (0.5, 2.0))]
)
def test_training_scales_of_the_authors(data, longer_side, scales):
    """Relative to the file; what is smaller than a crop is padded to it, so that all crops are seen at one scale."""
    config = Config.fromfile(CONFIGS / '_base_' / 'datasets' / f'{data}.py')
    steps = {step['type']: step for step in config.train_pipeline}
    assert max(steps['RandomResize'].scale) == longer_side and tuple(steps['RandomResize'].ratio_range) == scales
    assert list(steps)[-3:] == ['RandomCrop', 'Pad', 'PackSegInputs']
    assert steps['RandomCrop'].crop_size == steps['Pad'].size == config.crop_size


@pytest.mark.parametrize('name', ['fgsm_det_cls_test', 'fgsm_det_loc_test', 'fgsm_det_cls_loc_test', 'bim_seg_test'])
def test_evaluation_attacks(name):
    config = Config.fromfile(CONFIGS / '_base_' / 'attacks' / f'{name}.py').attack
    assert build_attack(config).eps == (8 if 'det' in name else 0.03 * 255)


@pytest.mark.parametrize('suffix', ['', '_no_vgg'])
def test_released_objective_for_detectors(suffix):
    folder = CONFIGS / '_base_' / 'defenses'
    config = Config.fromfile(folder / f'objective_released{suffix}_det.py')
    general = Config.fromfile(folder / f'objective_released{suffix}.py')
    assert config.objective.task_weight == 1.0 and config.objective.feature_layer is None
    *terms, classes = config.objective.losses
    *general_terms, general_classes = general.objective.losses
    assert terms == general_terms
    assert classes == dict(general_classes, loss_weight=10.0, intra_weight=0.0)


@pytest.mark.parametrize(('scope', 'name'), [('mmdet', 'light_ssd_bccd'), ('mmseg', 'light_pspnet_camvid')])
def test_one_line_gets_the_default_recipe(scope, name):
    config = Config.fromfile(CONFIGS / 'target' / f'{name}.py')
    config.model.data_preprocessor.type = 'AlignPurifier'
    preparation.enter_scope(config)
    purifier_config.prepare_purifier(config)
    recipes.complete_training(config)
    assert config.default_scope == scope
    hook = HOOKS.build(dict(config.custom_hooks[0]))
    assert hook.feature_layer is None
    assert not any(type(loss).__name__ == 'PerceptualLoss' for loss in hook.losses), 'nothing to download'
    assert MODELS.build(config.model).data_preprocessor.discriminator is not None


class Spy(Hook):
    priority = 'LOWEST'

    def __init__(self):
        self.losses = []

    def before_train(self, runner):
        # only now have the weights their initial values
        self.before = {name: value.clone() for name, value in runner.model.state_dict().items()}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({name: float(value) for name, value in outputs.items()})


def _runner(path, tmp_path, monkeypatch):
    """One iteration of two images, with the real data."""
    config = load(path)
    root = ROOT / config.data_root
    if not root.is_dir():
        pytest.skip(f'needs {config.data_root}')
    monkeypatch.setattr(Runner, '_log_env', lambda *_: None)
    config.merge_from_dict(
        dict(
            work_dir=str(tmp_path),
            experiment_name=f'test_{path.stem}_{next(_serial)}',
            log_level='WARNING',
            load_from=None,
            train_cfg=dict(max_epochs=1, val_interval=100),
            param_scheduler=None,
        )
    )
    config.default_hooks.checkpoint = None
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.batch_size, loader.num_workers = 2, 0
        loader.dataset.indices = 2
        loader.dataset.data_root = str(root)
    for hook in config.get('custom_hooks', []):
        hook.require_checkpoint = False
    runner = Runner.from_cfg(config)
    spy = Spy()
    runner.register_hook(spy)
    return runner, spy


@pytest.mark.parametrize('name', LIGHT)
def test_light_target_trains_and_is_evaluated(name, tmp_path, monkeypatch):
    runner, spy = _runner(CONFIGS / 'target' / f'{name}.py', tmp_path, monkeypatch)
    before = next(runner.model.backbone.parameters()).detach().clone()
    runner.train()
    assert not torch.equal(next(runner.model.backbone.parameters()), before)
    assert all(value == value for value in spy.losses[0].values())
    assert {'mAP', 'mIoU'} & {key.rpartition('/')[2] for key in runner.test()}


@pytest.mark.parametrize(
    'path', [path for path in DEFENSES if path.stem.startswith('light')], ids=lambda path: path.stem
)
def test_light_purifier_trains(path, tmp_path, monkeypatch):
    runner, spy = _runner(path, tmp_path, monkeypatch)
    runner.train()
    assert all(value == value for value in spy.losses[0].values()), spy.losses
    assert {'loss_pixel_adv', 'loss_gan_discriminator', 'loss_align'} <= spy.losses[0].keys()
    assert any('task_' in name for name in spy.losses[0])
    state = runner.model.state_dict()
    changed = [name for name, value in spy.before.items() if not torch.equal(state[name], value)]
    assert any(name.startswith('data_preprocessor.generator.') for name in changed)
    assert all(name.startswith('data_preprocessor.') for name in changed), 'the target has changed'


def test_void_of_camvid_is_ignored(tmp_path, monkeypatch):
    """A real mask: void is in it, no loss comes from there and no IoU."""
    from mmseg.evaluation import IoUMetric

    path = CONFIGS / 'target' / 'light_pspnet_camvid.py'
    runner, _ = _runner(path, tmp_path, monkeypatch)
    sample = DATASETS.build(dict(runner.cfg.val_dataloader.dataset, indices=1))[0]['data_samples']
    mask = sample.gt_sem_seg.data
    assert (mask == 11).any() and mask.max() == 11
    head = runner.model.decode_head
    logits = torch.randn(1, 11, *mask.shape[-2:])
    changed = torch.where(mask == 11, logits.flip(1), logits)
    losses = [head.loss_by_feat(scores, [sample])['loss_ce'] for scores in (logits, changed)]
    torch.testing.assert_close(*losses)
    areas = IoUMetric.intersect_and_union(mask[0].clamp(max=10), mask[0], 11, 11)
    assert torch.equal(areas[0], areas[1]), 'a prediction that is right outside of void is right'


def test_boxes_without_area_are_not_learned(tmp_path, monkeypatch):
    runner, _ = _runner(CONFIGS / 'target' / 'light_ssd_bccd.py', tmp_path, monkeypatch)
    config = runner.cfg.train_dataloader.dataset
    dataset = DATASETS.build(dict(config, indices=None))
    ignored = 0
    for index in range(len(dataset)):
        for instance in dataset.get_data_info(index)['instances']:
            left, top, right, bottom = instance['bbox']
            ignored += instance['ignore_flag']
            assert instance['ignore_flag'] or (right > left and bottom > top)
    assert ignored == 2


def _tensors(outputs):
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [tensor for output in outputs for tensor in _tensors(output)]
