# The default recipe of a light SSD, but for two things: a second detector is attacked as often as the target, so that the purifier sees
# perturbations that the target's own gradient does not explain, and the learning rate falls to its end. Train the source first:
# python tools/train.py configs/target/light_retinanet_bccd.py --out checkpoints/light_retinanet_bccd.pth
_base_ = [
    '../target/light_ssd_bccd.py',
    '../_base_/defenses/attacks_general_det.py',
    '../_base_/defenses/objective_recommended_det.py',
    '../_base_/defenses/networks_unet.py',
]

load_from = 'checkpoints/light_ssd_bccd.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', **_base_.purifier))
custom_hooks = [
    dict(
        type='PurifierTrainHook',
        attack=_base_.attack,
        sources=[
            'target',
            dict(config='configs/target/light_retinanet_bccd.py', checkpoint='checkpoints/light_retinanet_bccd.pth'),
        ],
        **_base_.objective)
]
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=4, val_interval=4)
param_scheduler = dict(total_steps=4)
