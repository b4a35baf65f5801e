_base_ = ['../_base_/targets/deeplabv3-r50_cityscapes.py', '../_base_/schedules/target_poly_200e.py']

train_dataloader = dict(batch_size=16)
auto_scale_lr = dict(base_batch_size=16)
