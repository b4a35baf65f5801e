"""A sample of the zoo, of every host; and what the table says of models that cannot be protected."""

import pytest
from mmengine.registry import DefaultScope

from mmadvdefense.testing.zoo import Check, check_model, image_size, protected_config
from mmadvdefense.testing.zoo_configs import zoo_configs
from mmadvdefense.testing.zoo_report import zoo_page, zoo_table

for host in ('mmdet', 'mmseg', 'mmpretrain'):
    pytest.importorskip(host)
# The smallest images that a model takes.
SAMPLE = {
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py': (64, 96),
    'mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py': None,
    'mmdet::detr/detr_r18_8xb2-500e_coco.py': (96, 128),
    'mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py': (96, 128),
    'mmseg::segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py': (64, 96),
    'mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py': (64, 64),
}


@pytest.fixture(autouse=True)
def _leave_the_scope():
    current = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(current)


@pytest.mark.parametrize('config', SAMPLE, ids=lambda name: name.partition('/')[0])
def test_sample(config):
    assert config in zoo_configs()
    check = check_model(config, SAMPLE[config])
    assert check.works, check.problem
    assert 0 < check.change <= 8.001 and check.loss > 0
    tasks = {'mmdet': 'detection', 'mmseg': 'segmentation', 'mmpretrain': 'classification'}
    assert check.task == tasks[config.partition('::')[0]]


def test_the_list_is_long_and_across_hosts():
    configs = zoo_configs()
    assert len(configs) == len(set(configs)) >= 40
    assert {name.partition('::')[0] for name in configs} == {'mmdet', 'mmseg', 'mmpretrain'}


@pytest.mark.parametrize(
    ('config', 'size'),
    [
        # Resizes the shorter side to 256, then crops: 224 is what it was made for, and all that some models take.
        ('mmpretrain::resnet/resnet18_8xb32_in1k.py', (224, 224)),
        ('mmpretrain::inception_v3/inception-v3_8xb32_in1k.py', (299, 299)),
        ('mmpretrain::resnet/resnet18_8xb16_cifar10.py', (32, 32)),
        ('mmdet::ssd/ssd300_coco.py', (300, 300)),
        ('mmdet::detr/detr_r18_8xb2-500e_coco.py', (192, 256)),
        ('mmseg::fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py', (192, 256)),
    ],
)
def test_sizes_of_images(config, size):
    assert image_size(protected_config(config)) == size


def test_the_page():
    works = Check('mmdet::detr/detr_r18_8xb2-500e_coco.py', task='detection')
    broken = Check('mmseg::some/model.py', task='segmentation', problem='no | head')
    page = zoo_page([works, broken, broken]).splitlines()
    assert page[-1] == '1 of 3 work'
    assert page[-5:-2] == [
        '| detr_r18_8xb2-500e_coco | detection | yes |  |',
        '| model | segmentation | no | no &#124; head |',
        '| model | segmentation | no | no &#124; head |',
    ]
    assert 'torch 2.' in zoo_page([works]) and 'mmsegmentation 1.' in zoo_page([works])


def test_what_does_not_work_is_in_the_table(tmp_path):
    config = tmp_path / 'broken.py'
    config.write_text(
        "default_scope = 'mmpretrain'\n"
        "model = dict(type='ImageClassifier', backbone=dict(type='NoSuchBackbone'),\n"
        "             head=dict(type='LinearClsHead', num_classes=2, in_channels=2))\n"
        'train_cfg = dict(by_epoch=True, max_epochs=1)\n'
    )
    check = check_model(str(config))
    assert not check.works and 'NoSuchBackbone' in check.problem
    assert 'NoSuchBackbone' in zoo_table([check])
