_base_ = ['../_base_/targets/rfbnet300_bccd.py', '../_base_/schedules/target_ssd_240e.py']

train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=8)
