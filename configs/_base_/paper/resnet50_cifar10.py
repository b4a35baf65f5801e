# ResNet-50 on CIFAR-10, attacked from WideResNet-34-10; small: resnet56_cifar10 from resnet20_cifar10.
fields = dict(
    data='cifar10',
    title='CIFAR-10',
    target='resnet50_cifar10',
    source='wideresnet_cifar10',
    ours='configs/align/align_resnet50_1xb64-100e_cifar10.py',
    ours_options='',
    full='configs/align/align_resnet50_1xb64-100e_cifar10.py',
    full_name='align',
    source_ours='configs/align/align_wideresnet34-10_1xb64-100e_cifar10.py',
    source_full='configs/align/align_wideresnet34-10_1xb64-100e_cifar10.py',
    source_full_name='align',
    place='data_preprocessor',
    same='train_cfg.max_epochs=100 train_dataloader.batch_size=64',
    short='')
data_files = {
    'data/cifar10/cifar-10-batches-py':
        'unpack https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz in data/cifar10',
}
scales = dict(
    small=dict(
        fields=dict(
            target='resnet56_cifar10',
            source='resnet20_cifar10',
            ours='configs/target/resnet56_cifar10.py',
            ours_options='--cfg-options data_preprocessor.type=AlignPurifier load_from=checkpoints/resnet56_cifar10.pth train_cfg.max_epochs=8',
            full='configs/target/resnet56_cifar10.py',
            full_name='align',
            source_ours='configs/align/align_resnet20_1xb64-8e_cifar10.py',
            source_full='configs/align/align_resnet20_paper-objective_1xb64-8e_cifar10.py',
            source_full_name='align_paper',
            same='train_cfg.max_epochs=8 train_dataloader.batch_size=64',
            short='short'),
        data_files={
            '_delete_': True,
            'data/cifar10/test': 'the images as files, data/cifar10/train and test with a folder for each class',
        }))
