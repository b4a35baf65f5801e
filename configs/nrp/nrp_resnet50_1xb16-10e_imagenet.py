# NRP in the paper's setting: the published network, perturbations and features of VGG-16. The purifier does not know
# ResNet-50, in front of which it stands here. The length is ours; the paper trains on 25,000 images of MS-COCO.
_base_ = [
    '../target/resnet50_imagenet.py',
    '../_base_/defenses/nrp_vgg16.py',
]

default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmadvdefense'], allow_failed_imports=False)
load_from = 'checkpoints/resnet50_imagenet.pth'
data_preprocessor = dict(type='NRPPurifier', **_base_.purifier)
custom_hooks = [
    dict(type='PurifierTrainHook', attack=_base_.attack, sources=_base_.sources, **_base_.objective)
]
train_dataloader = dict(batch_size=16)
optim_wrapper = dict(_delete_=True, optimizer=_base_.adam)
param_scheduler = dict(
    _delete_=True, type='LinearLR', start_factor=1.0, end_factor=0.0, begin=5, end=10, convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=1)
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3, backend_args=dict(backend='atomic')))
