"""``tools/train.py`` from the command line: its flags, a run that is killed, two processes, and one line on a host's
own config."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

pytest.importorskip('mmpretrain')
TRAIN = Path(__file__).parents[2] / 'tools' / 'train.py'


def _state(path: Path) -> dict:
    return torch.load(path, map_location='cpu', weights_only=True)['state_dict']


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob('*.pth')} if folder.exists() else set()


# Runs ----------------------------------------------------------------------------------------------------------------


def test_killed_and_resumed_equals_uninterrupted(config, child, run_tool, run_forked, assert_same_training, tmp_path):
    """Two epochs, ``kill -9`` in the third, and ``--resume`` make what four epochs in a row make, bit for bit.

    With augmentation in two worker processes, and without a seed in the config: the resumed run takes the first one's.
    """
    child(
        'workers',
        'train_dataloader = dict(num_workers=2, persistent_workers=False)\nrandomness = dict(_delete_=True, seed=None)',
    )
    # KillAfter comes on top of the hooks that are there.
    (tmp_path / 'killed.py').write_text(
        "_base_ = './workers.py'\ncustom_hooks = [*_base_.custom_hooks, dict(type='KillAfter', iterations=5)]\n"
    )
    seed = ('--cfg-options', 'randomness.seed=11')
    whole = run_tool('train', tmp_path / 'workers.py', '--work-dir', tmp_path / 'whole', *seed)
    assert whole.code == 0
    killed = run_forked('train', tmp_path / 'killed.py', '--work-dir', tmp_path / 'parts', *seed)
    assert killed.code == -9
    assert _files(tmp_path / 'parts') == {'epoch_1.pth', 'epoch_2.pth'}
    resumed = run_tool('train', tmp_path / 'workers.py', '--work-dir', tmp_path / 'parts', '--resume')
    assert resumed.code == 0, resumed.err[-2000:]
    assert_same_training(tmp_path / 'parts' / 'epoch_4.pth', tmp_path / 'whole' / 'epoch_4.pth')
    # At most three are kept.
    assert _files(tmp_path / 'parts') == {'epoch_2.pth', 'epoch_3.pth', 'epoch_4.pth'}


@pytest.mark.skipif(sys.platform == 'darwin', reason='gloo resolves no host name there')
def test_two_processes(child, run_tool, run_forked, tmp_path, target_checkpoint):
    """Both end with the same weights: those of one process with the batches of both."""
    child(
        'distributed',
        """
custom_hooks = [
    dict(
        type='PurifierTrainHook',
        attack=dict(type='FGSM', eps=8),
        losses=[dict(type='PixelReconstructionLoss'), dict(type='LSGANLoss'), dict(type='FeatureReconstructionLoss')]),
    dict(type='SaveRanks'),
]
# Adam would make a full step of the rounding noise in a gradient that is zero.
optim_wrapper = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.1))
train_cfg = dict(max_epochs=1)
train_pipeline = [dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
""",
    )
    options = (
        '--launcher',
        'pytorch',
        '--work-dir',
        tmp_path / 'two',
        '--cfg-options',
        'train_dataloader.batch_size=2',
    )
    two = run_forked('train', tmp_path / 'distributed.py', *options, ranks=2)
    assert two.code == 0, two.err[-3000:]
    one = run_tool('train', tmp_path / 'distributed.py', '--work-dir', tmp_path / 'one')
    assert one.code == 0
    first, second = (torch.load(tmp_path / 'two' / f'rank_{rank}.pth', weights_only=True) for rank in (0, 1))
    single = torch.load(tmp_path / 'one' / 'rank_0.pth', weights_only=True)
    loaded = _state(Path(target_checkpoint))
    assert first.keys() == second.keys() == single.keys()
    assert single.pop('data_preprocessor.generator.statistic') == 0
    assert first['data_preprocessor.generator.statistic'] == 0.5, 'as BatchNorm would have'
    del first['data_preprocessor.generator.statistic'], second['data_preprocessor.generator.statistic']
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        if name.startswith('data_preprocessor.'):
            assert torch.allclose(value, single[name], rtol=1e-3, atol=1e-5), name
        else:
            assert torch.equal(value, loaded[name]), name
    assert int(first['data_preprocessor.num_updates']) == 2


def test_one_line_on_a_host_s_config(run_tool, tmp_path):
    """Six iterations in front of MMPretrain's ResNet-18, with the objective and the optimizer of the recipe."""
    from mmadvdefense.models import build_model

    # As many as iterations: MMEngine waits two seconds before it goes through the data again.
    for index in range(6):
        image = np.random.RandomState(index).randint(0, 256, (32, 32, 3), np.uint8)
        path = tmp_path / 'data' / 'ab'[index % 2] / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image)
    (tmp_path / 'plain.py').write_text("_base_ = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'\n")
    torch.save({'state_dict': build_model(str(tmp_path / 'plain.py')).state_dict()}, tmp_path / 'resnet18.pth')
    # What is not CIFAR's: the one line and load_from are all that has to do with the defense.
    loader = """dict(
    batch_size=1, num_workers=0, dataset=dict(
        _delete_=True, type='CustomDataset', data_root='{root}', data_prefix='data',
        metainfo=dict(classes=[*'ab']), pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))"""
    loader = loader.format(root=tmp_path)
    (tmp_path / 'one_line.py').write_text(f"""
_base_ = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'
data_preprocessor = dict(type='AlignPurifier')
load_from = '{tmp_path}/resnet18.pth'

train_dataloader = {loader}
val_dataloader = {loader}
test_dataloader = {loader}
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=6, val_interval=6)
default_hooks = dict(logger=dict(interval=3), checkpoint=dict(by_epoch=False, interval=6))
""")
    mismatch = run_tool('train', tmp_path / 'one_line.py', '--work-dir', tmp_path / 'work')
    assert mismatch.error.endswith('use the config and checkpoint of a model trained for this data set')
    assert 'CustomDataset has 2 classes, ImageClassifier predicts 10' in mismatch.error
    assert not _files(tmp_path / 'work')

    # Ten class names, of which the images use two.
    text = (tmp_path / 'one_line.py').read_text().replace("[*'ab']", "[*'abcdefghij']")
    (tmp_path / 'one_line.py').write_text(text)
    for letter in 'cdefghij':
        (tmp_path / 'data' / letter).mkdir()
    done = run_tool('train', tmp_path / 'one_line.py', '--work-dir', tmp_path / 'work')
    assert done.code == 0, done.err[-3000:]
    (log,) = (path.read_text() for path in sorted((tmp_path / 'work').glob('*/*.log'))[-1:])
    said = done.out + done.err + log
    assert 'no PurifierTrainHook in the config: training with the default recipe' in said
    assert 'loaded 122 of 122 tensors of the target; 0 missing' in log
    line = next(line for line in log.splitlines() if '[6/6]' in line)
    for term in ('task_loss', 'loss_pixel_adv', 'loss_gan_generator', 'loss_feature_matching', 'loss_align'):
        assert f' {term}: ' in line
    written = Config.fromfile(tmp_path / 'work' / 'one_line.py')
    assert written.optim_wrapper.optimizer.type == 'Adam' and written.optim_wrapper.optimizer.lr == 1e-3
    assert written.param_scheduler[0].type == 'LinearLR' and written.param_scheduler[0].end == 6
    hook = next(hook for hook in written.custom_hooks if hook.type == 'PurifierTrainHook')
    assert [attack.type for attack in hook.attack] == ['RandomBudget'] * 6 and hook.labels == 'predicted'
    assert {attack.attack.type for attack in hook.attack} == {'PGD', 'MIFGSM', 'TIFGSM', 'DIFGSM', 'FGSM'}
    trained = _state(tmp_path / 'work' / 'iter_6.pth')
    assert int(trained['data_preprocessor.num_updates']) == 6
    plain = _state(tmp_path / 'resnet18.pth')
    assert all(torch.equal(trained[name], value) for name, value in plain.items())

    tested = run_tool(
        'test', tmp_path / 'one_line.py', tmp_path / 'work' / 'iter_6.pth', '--attack', 'FGSM', '--eps', 8
    )
    assert tested.code == 0, tested.err[-3000:]
    assert 'FGSM, gray-box' in tested.out
    # The config that the run has written down is complete, for the host's own tools and inference.
    from mmpretrain.apis import ImageClassificationInferencer

    inferencer = ImageClassificationInferencer(
        str(tmp_path / 'work' / 'one_line.py'), pretrained=str(tmp_path / 'work' / 'iter_6.pth'), device='cpu'
    )
    (result,) = inferencer(str(tmp_path / 'data' / 'a' / '0.png'))
    assert len(result['pred_scores']) == 10


# Flags ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def planned(run_tool, monkeypatch):
    """The config that a call would train with."""

    def plan(*arguments) -> Config:
        configs = []

        def from_cfg(config):
            configs.append(config)
            return type('Idle', (), {'train': lambda self: None})()

        with monkeypatch.context() as patch:
            patch.setattr('mmengine.runner.Runner.from_cfg', from_cfg)
            done = run_tool('train', *arguments)
        assert done.code == 0, done
        return configs[0]

    return plan


def test_flags(planned, config, tmp_path):
    plain = planned(config)
    assert plain.work_dir == 'work_dirs/defense' and not plain.resume
    assert plain.default_hooks.checkpoint.backend_args.backend == 'atomic'
    assert [hook.type for hook in plain.custom_hooks] == ['PurifierTrainHook', 'FiniteLossGuardHook']
    assert plain.get('model_wrapper_cfg') is None

    changed = planned(
        config, '--work-dir', 'elsewhere', '--no-validate', '--auto-scale-lr', '--amp', '--cfg-options',
        'optim_wrapper.optimizer.lr=0.5', 'default_hooks.checkpoint.max_keep_ckpts=1',
    )  # fmt: skip
    assert changed.work_dir == 'elsewhere'
    assert changed.val_cfg is changed.val_dataloader is changed.val_evaluator is None
    assert changed.auto_scale_lr.enable is True
    if torch.cuda.is_available():
        assert changed.optim_wrapper.type == 'AmpOptimWrapper' and changed.optim_wrapper.loss_scale == 'dynamic'
    else:
        assert changed.optim_wrapper.type == 'BFloat16OptimWrapper'
    assert changed.optim_wrapper.optimizer.lr == 0.5
    assert changed.default_hooks.checkpoint.max_keep_ckpts == 2, 'MMEngine deletes the old one first'


def test_resume_finds_the_latest_checkpoint(planned, config, tmp_path, target_checkpoint):
    work = tmp_path / 'work'
    fresh = planned(config, '--work-dir', work, '--resume')
    assert not fresh.resume and fresh.load_from == target_checkpoint, 'nothing to go on from: begins'
    work.mkdir()
    for epoch in (1, 2):
        torch.save({'state_dict': {}, 'meta': {'seed': 20 + epoch}}, work / f'epoch_{epoch}.pth')
    (work / 'last_checkpoint').write_text(str(work / 'epoch_1.pth'))
    noted = planned(config, '--work-dir', work, '--resume')
    assert noted.resume and noted.load_from == str(work / 'epoch_1.pth') and noted.randomness.seed == 21
    # Killed while the note was written.
    (work / 'last_checkpoint').write_text('')
    assert planned(config, '--work-dir', work, '--resume').load_from == str(work / 'epoch_2.pth')
    given = planned(config, '--resume', work / 'epoch_1.pth')
    assert given.resume and given.load_from == str(work / 'epoch_1.pth')


def test_options_beat_the_default_recipe(planned, child, config, tmp_path):
    """Such as the one that a diverged training advises."""
    one_line = tmp_path / 'one_line.py'
    text = config.read_text()
    start, end = text.index('data_preprocessor = '), text.index('train_cfg = ')
    one_line.write_text(text[:start] + "data_preprocessor = dict(type='AlignPurifier')\n" + text[end:])
    plan = planned(one_line, '--cfg-options', 'optim_wrapper.clip_grad.max_norm=1', 'optim_wrapper.optimizer.lr=0.25')
    assert plan.optim_wrapper.clip_grad.max_norm == 1
    assert plan.optim_wrapper.optimizer.lr == 0.25 and plan.optim_wrapper.optimizer.type == 'Adam'
    assert plan.optim_wrapper.optimizer.betas == (0.5, 0.999)


# Mistakes ------------------------------------------------------------------------------------------------------------


def test_mistakes_end_in_one_line(run_tool, config, child, tmp_path, target_checkpoint, save_target):
    torch.save({'state_dict': {'some.weight': torch.zeros(2)}}, tmp_path / 'foreign.pth')
    seven = save_target(num_classes=7)
    images = dict(type='CustomDataset', data_root=str(tmp_path), data_prefix='no_such_folder', pipeline=[])
    cases = {
        'config not found: .*nowhere.py': [tmp_path / 'nowhere.py'],
        'load_from checkpoint not found: .*nowhere.pth': [config, '--cfg-options', 'load_from=nowhere.pth'],
        'random weights: set load_from': [config, '--cfg-options', 'load_from=None'],
        r'foreign\.pth|nothing for this model': [config, '--cfg-options', f'load_from={tmp_path}/foreign.pth'],
        'trained for 7 classes, the target has 10': [config, '--cfg-options', f'load_from={seven}'],
        'FGSM: eps .* must be >= 0, got -1': [child('eps', _hook("attack=dict(type='FGSM', eps=-1)"))],
        'BIM: give step_size, such as': [child('step', _hook("attack=dict(type='BIM', eps=8, steps=2)"))],
        'BIM: give steps, such as': [child('steps', _hook("attack=dict(type='BIM', eps=8, step_size=2)"))],
        'the purifier has no discriminator': [child('gan', 'data_preprocessor = dict(discriminator=None)')],
        'no_such_folder': [child('data', f'train_dataloader = dict(dataset=dict(_delete_=True, **{images}))')],
        'auto_scale_lr=dict': [child('scale', 'auto_scale_lr = dict(_delete_=True)'), '--auto-scale-lr'],
        'PurifierTrainHook found ClsDataPreprocessor': [
            child('plain', "data_preprocessor = dict(_delete_=True, type='ClsDataPreprocessor', num_classes=10)")
        ],
    }
    for number, (message, arguments) in enumerate(cases.items()):
        work = tmp_path / f'work_{number}'
        done = run_tool('train', *arguments, '--work-dir', work)
        assert re.search(message, done.error), f'{message}: {done.error}'
        assert not _files(work), 'nothing half-written'


def test_a_dict_on_the_command_line(run_tool, config):
    """MMEngine would recurse until Python stops it."""
    done = run_tool('train', config, '--cfg-options', "custom_hooks=[dict(type='EMAHook', momentum=0.1)]")
    assert done.code == 2 and 'no dict(...), as in custom_hooks=[dict(' in done.err
    assert 'Traceback' not in done.err
    done = run_tool('train', config, '--cfg-options', 'train_cfg.stages=[(1,2]')
    assert done.code == 2 and 'Imbalanced brackets' in done.err


def _hook(attack: str) -> str:
    return f"custom_hooks = [dict(type='PurifierTrainHook', {attack})]"


@pytest.mark.skipif(torch.cuda.is_available(), reason='float16 there')
def test_mixed_precision_without_a_gpu(run_tool, config, tmp_path):
    done = run_tool(
        'train', config, '--amp', '--work-dir', tmp_path / 'work', '--cfg-options', 'train_cfg.max_epochs=1'
    )
    assert list((tmp_path / 'work').glob('epoch_1.pth')), done.error


def test_ablation_in_the_command_and_a_copy_of_the_last_checkpoint(config, run_tool, tmp_path):
    """In a folder of its own, whose config has the changed objective."""
    short = ('--no-validate', '--cfg-options', 'train_cfg.max_epochs=2')
    done = run_tool('train', config, '--ablation', 'no_reconstruction', '--out', tmp_path / 'out' / 'model.pth', *short)
    assert done.code == 0, done.err[-2000:]
    folder = tmp_path / 'work_dirs' / 'defense_no_reconstruction'
    assert (tmp_path / 'out' / 'model.pth').read_bytes() == (folder / 'epoch_2.pth').read_bytes()
    dumped = Config.fromfile(folder / 'defense.py')
    assert [loss.type for loss in dumped.custom_hooks[0].losses] == ['LSGANLoss'] and 'ablation' not in dumped
    refused = run_tool('train', config, '--ablation', 'no_feature')
    assert "ablation='no_feature' (w/o L_Frec) changes nothing" in refused.error
    refused = run_tool('train', config, '--out', 'a.pth', '--cfg-options', 'default_hooks.checkpoint=None')
    assert '--out copies the last checkpoint, and this config writes none' in refused.error


def test_recipes_in_the_command(run_tool, tmp_path, target_checkpoint):
    """On the config of a plain model; settings of the command have the last word."""
    plain = tmp_path / 'plain.py'
    plain.write_text(
        f"_base_ = '{TRAIN.parents[1]}/configs/target/digits_target.py'\nlog_level = 'WARNING'\n"
        'train_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(indices=8))\n'
    )
    options = (f'load_from={target_checkpoint}', 'train_cfg.max_epochs=1', 'custom_hooks.0.losses.0.beta=3')
    done = run_tool('train', plain, '--recipe', 'trades', 'finetune', '--no-validate', '--cfg-options', *options)
    assert done.code == 0, done.err[-2000:]
    folder = tmp_path / 'work_dirs' / 'plain_trades_finetune'
    dumped = Config.fromfile(folder / 'plain.py')
    (hook,) = dumped.custom_hooks[:1]
    assert (hook.type, hook.losses[0].type, hook.losses[0].beta) == ('AdversarialTrainingHook', 'TRADESLoss', 3)
    assert dumped.optim_wrapper.optimizer.lr == pytest.approx(0.02) and 'recipe' not in dumped
    assert _files(folder) == {'epoch_1.pth'}
    assert "unknown recipe 'trade'; did you mean trades" in run_tool('train', plain, '--recipe', 'trade').error
