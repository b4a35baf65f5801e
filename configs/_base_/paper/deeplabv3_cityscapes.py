# DeepLabv3 on Cityscapes, attacked from PSPNet; small: light_deeplabv3_camvid from light_pspnet_camvid.
fields = dict(
    data='cityscapes',
    title='Cityscapes',
    target='deeplabv3_cityscapes',
    source='pspnet_cityscapes',
    ours='configs/align/align_deeplabv3-r50_1xb1-80e_cityscapes.py',
    ours_options='',
    full='configs/align/align_deeplabv3-r50_1xb1-80e_cityscapes.py',
    full_name='align',
    source_ours='configs/align/align_pspnet-r50_1xb1-80e_cityscapes.py',
    source_full='configs/align/align_pspnet-r50_1xb1-80e_cityscapes.py',
    source_full_name='align',
    place='model.data_preprocessor',
    same='train_cfg.max_epochs=80 train_dataloader.batch_size=1',
    short='')
data_files = {
    'data/cityscapes/leftImg8bit/val':
        'leftImg8bit and gtFine of https://www.cityscapes-dataset.com, with the label files of the converter of MMSegmentation',
}
scales = dict(
    small=dict(
        fields=dict(
            target='light_deeplabv3_camvid',
            source='light_pspnet_camvid',
            ours='configs/target/light_deeplabv3_camvid.py',
            ours_options='--cfg-options model.data_preprocessor.type=AlignPurifier load_from=checkpoints/light_deeplabv3_camvid.pth train_cfg.max_epochs=8',
            full='configs/target/light_deeplabv3_camvid.py',
            full_name='align',
            source_ours='configs/align/align_light-pspnet_1xb4-8e_camvid.py',
            source_full='configs/align/align_light-pspnet_1xb4-8e_camvid.py',
            source_full_name='align',
            same='train_cfg.max_epochs=8 train_dataloader.batch_size=4',
            short=''),
        data_files={
            '_delete_': True,
            'data/camvid/img/test': 'CamVid at 320 x 240, data/camvid/img and data/camvid/ann with train and test',
        },
        num_images=24))
