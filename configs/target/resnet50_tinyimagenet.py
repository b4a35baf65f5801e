_base_ = ['../_base_/targets/resnet50_tinyimagenet.py', '../_base_/schedules/target_sgd_200e.py']

train_dataloader = dict(batch_size=128)
