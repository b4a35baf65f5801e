# MMPretrain's CIFAR100 (downloaded on first use), with the paper's batch size and augmentation.
_base_ = './cifar10.py'

dataset_type = 'CIFAR100'
data_root = 'data/cifar100/'
data_preprocessor = dict(num_classes=100, mean=[129.304, 124.070, 112.434], std=[68.170, 65.392, 70.418])

dataset = dict(type=dataset_type, data_root=data_root)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
