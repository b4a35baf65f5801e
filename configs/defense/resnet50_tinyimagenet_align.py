# Align as in the paper: its generator, discriminator, attack and schedule (sections 4.2 to 4.5), and its objective with
# the mean over pairs of classes, because the sum leaves the generator at the identity where classes are many.
_base_ = [
    '../_base_/targets/resnet50_cifar.py',
    '../_base_/datasets/tinyimagenet.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/networks_small_images.py',
    '../_base_/defenses/objective_paper_many_classes.py',
    '../_base_/schedules/align_30e.py',
    '../_base_/default_runtime.py',
]

load_from = 'checkpoints/resnet50_tinyimagenet.pth'
model = dict(head=dict(num_classes=200))
data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
