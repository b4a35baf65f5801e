# As align_resnet20_1xb64-8e_cifar10.py, but with the weights of the paper's equation 9. L_m is taken on all layers of D but its
# logits, as by the released code, because the results of this config were measured so.
_base_ = [
    '../_base_/targets/resnet20_cifar10.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/networks_unet.py',
    '../_base_/defenses/objective_paper_no_vgg.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
# The frozen target's BatchNorm becomes part of its convolutions: a step needs a fifth less memory.
efficient_conv_bn_eval = ['backbone']
data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
losses = [
    dict(loss, layers=None) if loss['type'] == 'FeatureMatchingLoss' else loss for loss in _base_.objective.losses]
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **{**_base_.objective, 'losses': losses})]
