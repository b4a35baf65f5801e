"""The messages about what is installed, which checkpoints are loaded, and what is mended in hosts."""

import io
import logging
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from importlib import import_module, metadata

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner import load_checkpoint as mmengine_load
from torch import nn

from mmadvdefense import compat
from mmadvdefense.compat import CheckpointRefused, check_checkpoint


def test_a_warning_that_nobody_can_act_on_is_left_out():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        compat.apply()
        warnings.warn('pkg_resources is deprecated as an API', UserWarning, stacklevel=1)
        warnings.warn('another', UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ['another']


@pytest.fixture
def installed(monkeypatch):
    """Pretend that distributions have other versions, or with None that they are not installed."""
    versions = {}
    real = metadata.version

    def version(name):
        if versions.get(name, '') is None:
            raise metadata.PackageNotFoundError(name)
        return versions.get(name) or real(name)

    monkeypatch.setattr(compat.metadata, 'version', version)
    return versions


class TestDependencies:
    def test_this_environment_is_suitable(self):
        compat.require_dependencies()

    @pytest.mark.parametrize(
        'name, version, expected',
        [
            ('torch', '1.13.1', "mmadvdefense needs torch>=2.0, found 1.13.1: pip install 'torch>=2.0'"),
            ('terminaltables', None, "mmadvdefense needs terminaltables, found none: pip install 'terminaltables'"),
            (
                'mmengine',
                '0.11.0',
                "mmadvdefense needs mmengine>=0.10.4,<0.11, found 0.11.0: pip install 'mmengine>=0.10.4,<0.11'",
            ),
        ],
    )
    def test_one_line_says_what_to_do(self, installed, name, version, expected):
        installed[name] = version
        with pytest.raises(ImportError) as error:
            compat.require_dependencies()
        assert str(error.value) == expected

    @pytest.mark.parametrize('version', [None, '2.2.0', '2.0.0rc3', '1.7.2'])
    def test_unsuitable_mmcv(self, installed, version):
        installed.update({'mmcv': version, 'mmcv-lite': None})
        with pytest.raises(ImportError) as error:
            compat.require_dependencies()
        text = str(error.value)
        assert f'needs mmcv>=2.0.0rc4,<2.2.0, found {version or "none"}' in text
        assert 'MMCV_WITH_OPS=1 pip install --no-build-isolation' in text
        assert '\n' not in text

    @pytest.mark.parametrize('name, version', [('mmcv', '2.0.0rc4'), ('mmcv-lite', '2.1.0'), ('torch', '2.13.0+cu130')])
    def test_suitable(self, installed, name, version):
        if name == 'mmcv-lite':
            installed['mmcv'] = None
        installed[name] = version
        compat.require_dependencies()

    def test_all_complaints_are_in_one_line(self, installed):
        installed.update({'torch': None, 'numpy': None})
        with pytest.raises(ImportError, match='needs torch>=2.0, found none.*; needs numpy, found none'):
            compat.require_dependencies()

    @pytest.mark.parametrize('name', ['mmdet', 'mmseg', 'mmsegmentation', 'mmpretrain'])
    def test_hosts(self, installed, name):
        installed.update(dict.fromkeys(('mmdet', 'mmsegmentation', 'mmpretrain')))
        with pytest.raises(ImportError, match=r"a model of the scope 'mm\w+' needs mm.*, found none: pip install 'mm"):
            compat.require_host(name)

    def test_host_without_ops(self, installed, monkeypatch):
        installed['mmdet'] = '3.3.0'
        monkeypatch.setattr(compat, 'find_spec', lambda name: None)
        with pytest.raises(ImportError, match='needs mmcv with its ops, found without: MMCV_WITH_OPS=1'):
            compat.require_host('mmdet')

    def test_unknown_host(self):
        with pytest.raises(
            ValueError, match="'mmpose' is not a host of mmadvdefense; the hosts are mmdet, mmpretrain, mmseg"
        ):
            compat.require_host('mmpose')

    def test_importing_the_package_imports_no_host(self):
        code = 'import sys, mmadvdefense; print(sorted({"mmdet", "mmseg", "mmpretrain"} & set(sys.modules)))'
        done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == '[]'


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

    def forward(self, x, mode='tensor'):
        y = self.layer(x)
        return dict(loss=y.pow(2).mean()) if mode == 'loss' else [y]


class Points(torch.utils.data.Dataset):
    """With the kinds of metainfo that OpenMMLab's data sets have."""

    metainfo = dict(classes=('a', 'b'), palette=[[0, 0, 0]], weights=np.ones(2, np.float32), extra=ConfigDict(a=(1, 2)))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(x=torch.full((2,), float(index)))


SCHEDULERS = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2),
    dict(type='CosineAnnealingLR', T_max=2),
    dict(type='MultiStepLR', milestones=[1]),
    dict(type='OneCycleLR', eta_max=0.1, total_steps=9),
]


def runner(folder, number, max_epochs, resume=False):
    return Runner(
        Toy(),
        str(folder),
        train_dataloader=dict(
            dataset=Points(),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
        param_scheduler=SCHEDULERS,
        custom_hooks=[dict(type='EMAHook')],
        resume=resume,
        log_level='ERROR',
        experiment_name=f'compat_{folder.name}_{number}',
    )


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    run = runner(folder, 0, 1)
    for key, value in dict(a=np.float64(0.5), b=np.float32(0.5), c=np.int64(3), d=np.bool_(True)).items():
        run.message_hub.update_info(key, value)
    run.train()
    return folder


@pytest.fixture
def free_environment(monkeypatch):
    """Let a test trust a checkpoint without the rest of the tests trusting all."""
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '0')


restricted = pytest.mark.skipif(not compat._load_is_restricted(), reason='torch.load is not restricted before 2.6')


class TestMMEngineCheckpoints:
    def test_resumes_what_the_runner_saved(self, trained):
        check_checkpoint(trained / 'epoch_1.pth')
        resumed = runner(trained, 1, 2, resume=True)
        resumed.train()
        assert (resumed.epoch, resumed.iter) == (2, 4)
        assert len(resumed.message_hub.get_scalar('train/loss').data[0]) == 4, 'the first epoch is remembered'
        assert resumed.message_hub.get_info('c') == 3

    @restricted
    def test_allows_exactly_what_the_runner_saves(self, trained):
        """All that is allowed besides the numbers' types is needed; a new need of MMEngine shows up above."""
        with zipfile.ZipFile(trained / 'epoch_1.pth') as file:
            names = next(name for name in file.namelist() if name.endswith('data.pkl'))
            needed = torch._weights_only_unpickler.get_globals_in_pkl(io.BytesIO(file.read(names)))
        needed = {name.replace('numpy.core', 'numpy._core') for name in needed if not name.startswith('torch')}
        needed -= set(torch._weights_only_unpickler._get_allowed_globals())
        allowed = torch._weights_only_unpickler._get_user_allowed_globals()
        kept = {name for name in allowed if not name.startswith(('numpy.dtypes', 'numpy.core', 'torch'))}
        assert needed == kept

    @restricted
    def test_getattr_is_not_allowed(self):
        allowed = torch.serialization.get_safe_globals()
        values = [entry[0] if isinstance(entry, tuple) else entry for entry in allowed]
        assert all(value not in values for value in (getattr, eval, exec, __import__))
        assert compat._named_method(HistoryBuffer, 'mean') is HistoryBuffer.mean

    @restricted
    @pytest.mark.parametrize('owner, name', [(HistoryBuffer, '__init__'), (HistoryBuffer, '__globals__'), ({}, 'get')])
    def test_other_attributes_are_refused(self, tmp_path, owner, name):
        class Reference:
            def __reduce__(self):
                return getattr, (owner, name)

        torch.save(dict(state_dict={}, meta=Reference()), tmp_path / 'a.pth')
        with pytest.raises(CheckpointRefused, match=rf"getattr\(\w+, '{name}'\)"):
            check_checkpoint(tmp_path / 'a.pth')
        with pytest.raises(pickle.UnpicklingError):
            torch.load(tmp_path / 'a.pth')


def rewritten(path, new, old_name, new_name):
    """Copy a checkpoint with a module renamed in its pickle, as another version of NumPy would have written it."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(new, 'w') as target:
        for item in source.infolist():
            data = source.read(item)
            if item.filename.endswith('data.pkl'):
                assert old_name in data or new_name in data
                data = data.replace(old_name, new_name)
            target.writestr(item, data)


class TestModelZooCheckpoints:
    CONTENT = dict(
        state_dict=Toy().state_dict(),
        meta=dict(palette=np.arange(6, dtype=np.uint8).reshape(2, 3), CLASSES=('a', 'b'), epoch=12),
        message_hub=dict(best=np.float64(0.25), loss=HistoryBuffer([1.0, 2.0], [1, 1])),
    )

    @pytest.mark.parametrize('module', [b'cnumpy.core.multiarray\n', b'cnumpy._core.multiarray\n'])
    def test_of_either_numpy(self, tmp_path, module):
        torch.save(self.CONTENT, tmp_path / 'new.pth')
        other = b'cnumpy._core.multiarray\n' if b'._core' not in module else b'cnumpy.core.multiarray\n'
        rewritten(tmp_path / 'new.pth', tmp_path / 'zoo.pth', other, module)
        check_checkpoint(tmp_path / 'zoo.pth')
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            loaded = mmengine_load(Toy(), str(tmp_path / 'zoo.pth'))
        assert np.array_equal(loaded['meta']['palette'], [[0, 1, 2], [3, 4, 5]])
        assert loaded['message_hub']['best'] == 0.25
        assert loaded['message_hub']['loss'].mean() == 1.5

    def test_in_the_format_before_torch_1_6(self, tmp_path):
        torch.save(self.CONTENT, tmp_path / 'zoo.pth', _use_new_zipfile_serialization=False)
        check_checkpoint(tmp_path / 'zoo.pth')
        assert mmengine_load(Toy(), str(tmp_path / 'zoo.pth'))['meta']['epoch'] == 12


class Foreign:
    """A class that a checkpoint should not need."""


@restricted
class TestCheckCheckpoint:
    @pytest.mark.parametrize('zipped', [True, False])
    def test_refused_by_name_and_loaded_when_trusted(self, tmp_path, free_environment, zipped):
        path = tmp_path / 'a.pth'
        content = dict(state_dict=Toy().state_dict(), meta=Foreign())
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointRefused) as error:
            check_checkpoint(path)
        for expected in (str(path), f'{Foreign.__module__}.Foreign', '--trust-checkpoint'):
            assert expected in str(error.value)
        with pytest.raises(pickle.UnpicklingError):
            mmengine_load(Toy(), str(path))

        lines = []
        handler = logging.Handler()
        handler.emit = lambda record: lines.append((record.levelno, record.getMessage()))
        MMLogger.get_current_instance().addHandler(handler)
        try:
            check_checkpoint(path, trust=True)
        finally:
            MMLogger.get_current_instance().removeHandler(handler)
        assert lines[0][0] == logging.WARNING
        assert f'TRUSTED as asked: {path}' in lines[0][1]
        assert isinstance(mmengine_load(Toy(), str(path))['meta'], Foreign)

    def test_all_types_are_named(self, tmp_path):
        torch.save(dict(a=Foreign(), b=logging.Formatter(), c=print), tmp_path / 'a.pth')
        with pytest.raises(CheckpointRefused, match=r'builtins.print, logging.Formatter.*, \S*test_compat.Foreign\.'):
            check_checkpoint(tmp_path / 'a.pth')

    def test_nothing_is_run_by_the_check(self, tmp_path):
        class Acting:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / 'made'),)

        for zipped in (True, False):
            torch.save(dict(a=Acting()), tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
            with pytest.raises(CheckpointRefused, match='posix.mkdir|nt.mkdir'):
                check_checkpoint(tmp_path / 'a.pth')
        assert not (tmp_path / 'made').exists()

    def test_trust_changes_nothing_for_plain_data(self, tmp_path, free_environment):
        torch.save(Toy().state_dict(), tmp_path / 'a.pth')
        check_checkpoint(tmp_path / 'a.pth', trust=True)
        assert os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] == '0'

    def test_trust_does_not_overrule_the_environment(self, tmp_path, free_environment, monkeypatch):
        monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
        torch.save(dict(a=Foreign()), tmp_path / 'a.pth')
        with pytest.raises(CheckpointRefused, match='TORCH_FORCE_WEIGHTS_ONLY_LOAD is set'):
            check_checkpoint(tmp_path / 'a.pth', trust=True)
        assert os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] == '0'

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='there is no checkpoint .*absent.pth'):
            check_checkpoint(tmp_path / 'absent.pth')
        with pytest.raises(FileNotFoundError):
            check_checkpoint(tmp_path)

    @pytest.mark.parametrize(
        'path', ['https://example.com/a.pth', 'torchvision://resnet18', 'open-mmlab://vgg16_caffe']
    )
    def test_addresses_are_left_to_mmengine(self, path):
        check_checkpoint(path)

    @pytest.mark.parametrize(
        'content', [b'', b'config: a\nb\n', b'<html>not found</html>', b'PK\x03\x04', b'\x80\x04]q.']
    )
    def test_no_checkpoint(self, tmp_path, content):
        (tmp_path / 'a.pth').write_bytes(content)
        with pytest.raises(ValueError, match='a.pth is not a checkpoint of PyTorch, or it is damaged: '):
            check_checkpoint(tmp_path / 'a.pth')

    @pytest.mark.parametrize('zipped', [True, False])
    @pytest.mark.parametrize('part', [0.02, 0.5, 0.99])
    def test_truncated(self, tmp_path, zipped, part):
        path = tmp_path / 'a.pth'
        torch.save(dict(state_dict=nn.Linear(100, 100).state_dict()), path, _use_new_zipfile_serialization=zipped)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
        with pytest.raises(ValueError, match='a.pth is not a checkpoint of PyTorch, or it is damaged: '):
            check_checkpoint(path)

    def test_torchscript(self, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.jit.trace(nn.Linear(1, 1), torch.zeros(1, 1)).save(tmp_path / 'a.pth')
        with pytest.raises(ValueError, match='a.pth is not a checkpoint'):
            check_checkpoint(tmp_path / 'a.pth')


def tiny_ssd():
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    config = ConfigDict(
        type='SingleStageDetector',
        data_preprocessor=dict(type='DetDataPreprocessor', mean=[127.5] * 3, std=[64.0] * 3),
        backbone=dict(
            type='ResNet', depth=18, base_channels=4, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,)
        ),
        bbox_head=dict(
            type='SSDHead',
            num_classes=2,
            in_channels=(4,),
            anchor_generator=dict(
                type='SSDAnchorGenerator',
                scale_major=False,
                input_size=32,
                strides=[4],
                ratios=([2],),
                min_sizes=[8],
                max_sizes=[16],
            ),
        ),
        train_cfg=dict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.3, neg_iou_thr=0.3, min_pos_iou=0.0),
            sampler=dict(type='PseudoSampler'),
            smoothl1_beta=1.0,
            allowed_border=-1,
            pos_weight=-1,
            neg_pos_ratio=3,
        ),
        test_cfg=dict(nms_pre=20, nms=dict(type='nms', iou_threshold=0.45), score_thr=0.0, max_per_img=5),
    )
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(config)


def detection_batch():
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    boxes = InstanceData(bboxes=torch.tensor([[4.0, 4.0, 16.0, 16.0]]), labels=torch.tensor([1]))
    sample = DetDataSample(metainfo=dict(img_shape=(32, 32), ori_shape=(32, 32), scale_factor=(1.0, 1.0)))
    sample.gt_instances = boxes
    return dict(inputs=[torch.rand(3, 32, 32) * 255], data_samples=[sample])


class TestSSD:
    @pytest.fixture(autouse=True)
    def mended(self, monkeypatch):
        """Start from MMDetection as it is, and leave it so."""
        heads = pytest.importorskip('mmdet.models.dense_heads')
        self.head = heads.SSDHead
        if 'loss_cls' in vars(self.head):
            monkeypatch.delattr(self.head, 'loss_cls')
        yield
        if 'loss_cls' in vars(self.head):
            del self.head.loss_cls

    @staticmethod
    def losses(model, batch):
        torch.manual_seed(0)
        return model(**model.data_preprocessor(batch, True), mode='loss')

    def test_predicts_and_its_loss_is_unchanged(self):
        torch.manual_seed(0)
        model, batch = tiny_ssd(), detection_batch()
        model.init_weights()
        model.eval()
        before = self.losses(model, batch)
        with pytest.raises(AttributeError, match='loss_cls'):
            model.test_step(batch)
        compat.apply_for_scope('mmdet')
        result = model.test_step(batch)[0].pred_instances
        assert len(result) == 5
        logits = model.bbox_head(model.extract_feat(model.data_preprocessor(batch)['inputs']))[0][0]
        foreground = logits.permute(0, 2, 3, 1).reshape(-1, 3).softmax(1)[:, :-1]
        assert 0.3 < foreground.max() < 0.99
        assert result.scores[0] == pytest.approx(foreground.max().item())
        after = self.losses(model, batch)
        assert before.keys() == after.keys() == {'loss_cls', 'loss_bbox'}
        assert all(torch.equal(before[name][0], after[name][0]) for name in before)

    def test_is_mended_once(self):
        assert compat.patch_ssd_head()
        assert not compat.patch_ssd_head()

    def test_leaves_a_subclass_its_loss(self):
        compat.patch_ssd_head()
        head = tiny_ssd().bbox_head
        assert head.loss_cls is None
        head.loss_cls = nn.CrossEntropyLoss()
        assert isinstance(head.loss_cls, nn.CrossEntropyLoss)
        assert 'loss_cls' in dict(head.named_children())

    def test_leaves_a_healthy_head(self, monkeypatch):
        """One whose predict does not ask, as before the defect."""
        monkeypatch.setattr(self.head, '_predict_by_feat_single', lambda self: None)
        assert not compat.patch_ssd_head()
        assert 'loss_cls' not in vars(self.head)

    def test_does_nothing_without_mmdet(self, monkeypatch):
        monkeypatch.setattr(compat, 'find_spec', lambda name: None)
        assert not compat.patch_ssd_head()

    def test_other_scopes_do_not_import_it(self):
        code = (
            'import sys, mmadvdefense.compat as c; [c.apply_for_scope(s) for s in ("mmpretrain", None)];'
            'print("mmdet" in sys.modules)'
        )
        done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == 'False'


class TestWeightedCrossEntropy:
    @pytest.fixture(autouse=True)
    def losses(self, monkeypatch):
        """MMSegmentation as it is, and left so."""
        pytest.importorskip('mmseg')
        self.losses = import_module('mmseg.models.losses.cross_entropy_loss')
        found = self.losses.cross_entropy
        monkeypatch.setattr(self.losses, 'cross_entropy', getattr(found, '__wrapped__', found))

    def loss(self, labels, **settings):
        logits = torch.randn(1, 3, 1, 4, generator=torch.Generator().manual_seed(0))
        module = self.losses.CrossEntropyLoss(class_weight=[1.0, 2.0, 5.0], **settings)
        return logits, module(logits, torch.tensor([[labels]]), ignore_index=255)

    def test_ignored_pixels_do_not_count(self):
        with pytest.raises(IndexError, match='index 255'):
            self.loss([0, 255, 2, 2])
        _, unchanged = self.loss([0, 1, 2, 2])
        compat.apply_for_scope('mmseg')
        logits, loss = self.loss([0, 255, 2, 2])
        log_softmax = logits.log_softmax(1)[0, :, 0]
        expected = -(log_softmax[0, 0] + 5 * log_softmax[2, 2] + 5 * log_softmax[2, 3]) / 11
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(self.loss([0, 255, 2, 2], avg_non_ignore=True)[1], expected)
        torch.testing.assert_close(self.loss([0, 1, 2, 2])[1], unchanged)
        assert self.loss([255] * 4)[1] == 0

    def test_is_mended_once_and_where_needed(self, monkeypatch):
        assert compat.patch_weighted_cross_entropy()
        assert not compat.patch_weighted_cross_entropy()
        monkeypatch.setattr(compat, 'find_spec', lambda name: None)
        assert not compat.patch_weighted_cross_entropy()


class TestImageReading:
    @pytest.fixture(autouse=True)
    def read(self, monkeypatch):
        """MMCV as it is, and left so."""
        mmcv = pytest.importorskip('mmcv')
        found = mmcv.imfrombytes
        monkeypatch.setattr(mmcv, 'imfrombytes', getattr(found, '__wrapped__', found))
        assert compat.patch_image_reading() and not compat.patch_image_reading()
        return mmcv.imfrombytes

    @pytest.fixture
    def image(self):
        """A ramp: JPEG keeps it but for rounding."""
        return np.tile(np.arange(32, dtype=np.uint8)[:, None, None] * 8, (1, 32, 3))

    @pytest.mark.parametrize('suffix', ['.jpg', '.png'])
    def test_whole_files(self, suffix, read, image):
        content = cv2.imencode(suffix, image)[1].tobytes()
        # Cameras append data of their own.
        for whole in (content, content + bytes(64)):
            assert np.abs(read(whole).astype(int) - image).max() <= 4

    def test_what_is_no_image_is_none(self, read, image):
        content = cv2.imencode('.jpg', image)[1].tobytes()
        for part in (b'', b'no image', content[:20], content[: len(content) // 2], content[:-2]):
            assert read(part) is None

    def test_a_thumbnail_is_not_the_end(self, read, image):
        """It stands in the head of a file and has an end of its own."""
        content = cv2.imencode('.jpg', image)[1].tobytes()
        head = b'\xff\xe1' + (len(content) + 2).to_bytes(2, 'big') + content
        with_thumbnail = content[:2] + head + content[2:]
        assert np.abs(read(with_thumbnail).astype(int) - image).max() <= 4
        assert read(with_thumbnail[:-100]) is None

    def test_pillow_reads_as_ever(self, read, image):
        content = cv2.imencode('.jpg', image)[1].tobytes()
        assert read(content, backend='pillow').shape == image.shape
        with pytest.raises(OSError, match='[Tt]runcated'):
            read(content[: len(content) // 2], backend='pillow')
