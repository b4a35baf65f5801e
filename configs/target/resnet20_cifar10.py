_base_ = ['../_base_/targets/resnet20_cifar10.py', '../_base_/schedules/target_sgd_200e.py']

train_dataloader = dict(batch_size=128)
