# WideResNet-34-10 on CIFAR-100, attacked from ResNet-50.
fields = dict(
    data='cifar100',
    title='CIFAR-100',
    target='wideresnet_cifar100',
    source='resnet50_cifar100',
    ours='configs/align/align_wideresnet34-10_1xb64-100e_cifar100.py',
    ours_options='',
    full='configs/align/align_wideresnet34-10_1xb64-100e_cifar100.py',
    full_name='align',
    source_ours='configs/align/align_resnet50_1xb64-100e_cifar100.py',
    source_full='configs/align/align_resnet50_1xb64-100e_cifar100.py',
    source_full_name='align',
    place='data_preprocessor',
    same='train_cfg.max_epochs=100 train_dataloader.batch_size=64',
    short='')
data_files = {
    'data/cifar100/cifar-100-python':
        'unpack https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz in data/cifar100',
}
