_base_ = ['../_base_/targets/ssd300_voc0712.py', '../_base_/schedules/target_ssd_240e.py']

train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
