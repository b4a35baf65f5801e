_base_ = [
    '../_base_/targets/resnet20_cifar.py',
    '../_base_/datasets/cifar10_folder.py',
    '../_base_/schedules/target_sgd_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=128)
