# HGD in the paper's setting: DUNET at its published widths, guided by the logits of Inception-v3, 30 images a class.
# MMPretrain has no Inception-ResNet-v2 and no ResNet-50-v2: ResNet-50 and ResNeXt-50 take their places in the ensemble.
# Get all weights from MMPretrain's model zoo.
_base_ = [
    'mmpretrain::_base_/models/inception_v3.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    '../_base_/defenses/attacks_hgd.py',
    '../_base_/defenses/objective_hgd_logits.py',
    '../_base_/schedules/hgd_30e.py',
    '../_base_/default_runtime.py',
]

load_from = 'checkpoints/inception_v3_imagenet.pth'
data_preprocessor = dict(type='HGDPurifier')

ensemble = [
    'target',
    dict(config='configs/target/resnext50_imagenet.py', checkpoint='checkpoints/resnext50_imagenet.pth'),
    dict(config='configs/target/resnet50_imagenet.py', checkpoint='checkpoints/resnet50_imagenet.pth'),
]
custom_hooks = [
    dict(
        type='PurifierTrainHook',
        # The seven sets of 30,000 images of table 1: FGSM on each of the three models, and all four on the ensemble.
        attack=[
            dict(sources=[ensemble[0]], **_base_.attack[0]),
            dict(sources=[ensemble[1]], **_base_.attack[0]),
            dict(sources=[ensemble[2]], **_base_.attack[0]),
            *_base_.attack,
        ],
        sources=[ensemble],
        labels=_base_.labels,
        **_base_.objective),
    # "The model with the lowest validation loss is used for testing" (section 4.2).
    dict(type='PurifierValLossHook'),
]
default_hooks = dict(checkpoint=dict(save_best='purifier/loss', rule='less'))

pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=342, edge='short'),
    dict(type='CenterCrop', crop_size=299),
    dict(type='PackInputs'),
]
images = dict(type='ImageNet', data_root='data/imagenet', pipeline=pipeline)
train_dataloader = dict(
    batch_size=60,
    dataset=dict(_delete_=True, type='ImagesPerClass', number=30, dataset=dict(split='train', **images)))
val_dataloader = dict(
    batch_size=60,
    dataset=dict(_delete_=True, type='ImagesPerClass', number=10, skip=30, dataset=dict(split='train', **images)))
test_dataloader = dict(
    batch_size=60,
    dataset=dict(_delete_=True, type='ImagesPerClass', number=10, dataset=dict(split='val', **images)))
