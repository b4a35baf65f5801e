# Align as in the paper: its generator, discriminator, attack and schedule (sections 4.2 to 4.5), and its objective with
# the mean over pairs of classes, because the sum leaves the generator at the identity where classes are many.
_base_ = [
    '../_base_/targets/rfbnet300.py',
    '../_base_/datasets/voc0712_300.py',
    '../_base_/attacks/fgsm_det_train.py',
    '../_base_/defenses/networks_large_images.py',
    '../_base_/defenses/objective_paper_many_classes_det.py',
    '../_base_/schedules/align_80e.py',
    '../_base_/default_runtime_det.py',
]

load_from = 'checkpoints/rfbnet_voc.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', working_size=(256, 256), **_base_.purifier))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

auto_scale_lr = dict(base_batch_size=4)
