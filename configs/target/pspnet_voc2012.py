_base_ = ['../_base_/targets/pspnet-r50_voc2012.py', '../_base_/schedules/target_poly_50e.py']

train_dataloader = dict(batch_size=16)
auto_scale_lr = dict(base_batch_size=16)
