# DeepLabv3 on VOC2012, attacked from PSPNet.
fields = dict(
    data='voc2012',
    title='VOC2012',
    target='deeplabv3_voc2012',
    source='pspnet_voc2012',
    ours='configs/align/align_deeplabv3-r50_1xb1-20e_voc2012.py',
    ours_options='',
    full='configs/align/align_deeplabv3-r50_1xb1-20e_voc2012.py',
    full_name='align',
    source_ours='configs/align/align_pspnet-r50_1xb1-20e_voc2012.py',
    source_full='configs/align/align_pspnet-r50_1xb1-20e_voc2012.py',
    source_full_name='align',
    place='model.data_preprocessor',
    same='train_cfg.max_epochs=20 train_dataloader.batch_size=1',
    short='')
data_files = {
    'data/VOCdevkit/VOC2012/JPEGImages':
        'VOC2012 of http://host.robots.ox.ac.uk/pascal/VOC, with SegmentationClassAug of the converter of MMSegmentation',
}
