# RFBNet300 on VOC07+12, attacked from SSD300; small: light_fcos_bccd from light_ssd_bccd.
fields = dict(
    data='voc0712',
    title='VOC07+12',
    target='rfbnet_voc',
    source='ssd_voc',
    ours='configs/align/align_rfbnet300_1xb4-80e_voc0712.py',
    ours_options='',
    full='configs/align/align_rfbnet300_1xb4-80e_voc0712.py',
    full_name='align',
    source_ours='configs/align/align_ssd300_1xb4-80e_voc0712.py',
    source_full='configs/align/align_ssd300_1xb4-80e_voc0712.py',
    source_full_name='align',
    place='model.data_preprocessor',
    same='train_cfg.max_epochs=80 train_dataloader.batch_size=4',
    short='')
data_files = {
    'data/VOCdevkit/VOC2007/JPEGImages':
        'trainval and test of VOC2007, and VOC2012, of http://host.robots.ox.ac.uk/pascal/VOC',
}
scales = dict(
    small=dict(
        fields=dict(
            target='light_fcos_bccd',
            source='light_ssd_bccd',
            ours='configs/target/light_fcos_bccd.py',
            ours_options='--cfg-options model.data_preprocessor.type=AlignPurifier load_from=checkpoints/light_fcos_bccd.pth train_cfg.max_epochs=8',
            full='configs/target/light_fcos_bccd.py',
            full_name='align',
            source_ours='configs/align/align_light-ssd_1xb4-8e_bccd.py',
            source_full='configs/align/align_light-ssd_1xb4-8e_bccd.py',
            source_full_name='align',
            same='train_cfg.max_epochs=8 train_dataloader.batch_size=4',
            short=''),
        data_files={
            '_delete_': True,
            'data/bccd/JPEGImages': 'BCCD in the layout of Pascal VOC: https://github.com/Shenggan/BCCD_Dataset',
        }))
