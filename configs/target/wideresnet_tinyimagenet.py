_base_ = ['../_base_/targets/wideresnet34-10_tinyimagenet.py', '../_base_/schedules/target_sgd_200e.py']

train_dataloader = dict(batch_size=128)
