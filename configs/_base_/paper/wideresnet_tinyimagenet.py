# WideResNet-34-10 on Tiny-ImageNet, attacked from ResNet-50.
fields = dict(
    data='tinyimagenet',
    title='Tiny-ImageNet',
    target='wideresnet_tinyimagenet',
    source='resnet50_tinyimagenet',
    ours='configs/align/align_wideresnet34-10_1xb16-30e_tinyimagenet.py',
    ours_options='',
    full='configs/align/align_wideresnet34-10_1xb16-30e_tinyimagenet.py',
    full_name='align',
    source_ours='configs/align/align_resnet50_1xb16-30e_tinyimagenet.py',
    source_full='configs/align/align_resnet50_1xb16-30e_tinyimagenet.py',
    source_full_name='align',
    place='data_preprocessor',
    same='train_cfg.max_epochs=30 train_dataloader.batch_size=16',
    short='')
data_files = {
    'data/tiny-imagenet-200/val':
        'unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip in data, and move the images of val into a folder for each class',
}
