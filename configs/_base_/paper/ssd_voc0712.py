# SSD300 on VOC07+12, attacked from RFBNet300; small: light_ssd_bccd from light_fcos_bccd.
fields = dict(
    data='voc0712',
    title='VOC07+12',
    target='ssd_voc',
    source='rfbnet_voc',
    ours='configs/align/align_ssd300_1xb4-80e_voc0712.py',
    ours_options='',
    full='configs/align/align_ssd300_1xb4-80e_voc0712.py',
    full_name='align',
    source_ours='configs/align/align_rfbnet300_1xb4-80e_voc0712.py',
    source_full='configs/align/align_rfbnet300_1xb4-80e_voc0712.py',
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
            target='light_ssd_bccd',
            source='light_fcos_bccd',
            ours='configs/align/align_light-ssd_1xb4-8e_bccd.py',
            ours_options='',
            full='configs/align/align_light-ssd_1xb4-8e_bccd.py',
            full_name='align',
            source_ours='configs/target/light_fcos_bccd.py',
            source_full='configs/target/light_fcos_bccd.py',
            source_full_name='align',
            same='train_cfg.max_epochs=8 train_dataloader.batch_size=4',
            short=''),
        data_files={
            '_delete_': True,
            'data/bccd/JPEGImages': 'BCCD in the layout of Pascal VOC: https://github.com/Shenggan/BCCD_Dataset',
        }))
