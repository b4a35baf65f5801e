# CamVid at 320 x 240 from data/camvid/{img,ann}/{train,test}: 367 and 233 images, 11 classes, label 11 is void.
dataset_type = 'BaseSegDataset'
data_root = 'data/camvid/'
crop_size = (192, 256)
# Also where padding and rotation uncover pixels: heads, preprocessor and metric have to know one label.
ignore_index = 11
metainfo = dict(
    classes=('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car', 'pedestrian', 'bicyclist'),
    palette=[[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0],
             [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192]])

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(320, 240), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomRotate', prob=0.5, degree=5.0, pad_val=(103.53, 116.28, 123.675), seg_pad_val=ignore_index),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ignore_index=ignore_index,
        data_prefix=dict(img_path='img/train', seg_map_path='ann/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ignore_index=ignore_index,
        data_prefix=dict(img_path='img/test', seg_map_path='ann/test'),
        test_mode=True,
        pipeline=test_pipeline))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'], ignore_index=ignore_index)

test_dataloader = val_dataloader
test_evaluator = val_evaluator

# What a segmentation model has to know of the data.
segmentor = dict(
    data_preprocessor=dict(size=crop_size, seg_pad_val=ignore_index),
    decode_head=dict(num_classes=11, ignore_index=ignore_index),
    auxiliary_head=dict(num_classes=11, ignore_index=ignore_index))
