# Align as in the paper: its generator, discriminator, attack and schedule (sections 4.2 to 4.5), and its objective with
# the mean over pairs of classes, because the sum leaves the generator at the identity where classes are many.
_base_ = [
    '../_base_/targets/deeplabv3_r50.py',
    '../_base_/datasets/voc2012.py',
    '../_base_/attacks/bim_seg_train.py',
    '../_base_/defenses/networks_large_images.py',
    '../_base_/defenses/objective_paper_many_classes.py',
    '../_base_/schedules/align_20e.py',
    '../_base_/default_runtime_seg.py',
]

load_from = 'checkpoints/deeplabv3_voc2012.pth'
model = dict(
    data_preprocessor=dict(
        type='AlignPurifier', size=_base_.crop_size, working_size=(512, 512), tile_size=_base_.crop_size,
        **_base_.purifier),
    decode_head=dict(num_classes=21),
    auxiliary_head=dict(num_classes=21),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(278, 278)))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

auto_scale_lr = dict(base_batch_size=1)
