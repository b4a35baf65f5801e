# ResNet-18 fine-tuned from MMPretrain's weights of ImageNet.
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    '../_base_/datasets/flowers17.py',
    '../_base_/schedules/target_finetune.py',
    '../_base_/default_runtime.py',
]

imagenet = 'https://download.openmmlab.com/mmclassification/v0/resnet/resnet18_8xb32_in1k_20210831-fbbb1da6.pth'
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=imagenet, prefix='backbone')),
    head=dict(num_classes=17, topk=(1, )))
