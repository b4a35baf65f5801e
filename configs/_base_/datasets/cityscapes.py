# Cityscapes from data/cityscapes/{leftImg8bit,gtFine}/{train,val}, label files as MMSegmentation's converter writes them,
# with the paper's batch size, augmentation and crop.
dataset_type = 'CityscapesDataset'
data_root = 'data/cityscapes/'
crop_size = (425, 425)

# What Align's authors train with (RandScale 0.25 to 1, RandRotate, RandomGaussianBlur, RandomHorizontalFlip, Crop).
# What rotation uncovers and a crop lacks has the mean colour, in the order in which images are loaded.
mean_bgr = (103.53, 116.28, 123.675)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.25, 1.0), keep_ratio=True),
    dict(type='RandomRotate', prob=0.5, degree=10.0, pad_val=mean_bgr, seg_pad_val=255),
    dict(type='mmpretrain.GaussianBlur', radius=1.1, prob=0.5),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='Pad', size=crop_size, pad_val=dict(img=mean_bgr, seg=255)),
    dict(type='PackSegInputs'),
]
# Half size, as the authors test. Purifier and target slide over it in tiles and windows of the crop size.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1024, 512), keep_ratio=True),
    # after Resize, so that masks stay in the frame of the original image
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        test_mode=True,
        pipeline=test_pipeline))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])

test_dataloader = val_dataloader
test_evaluator = val_evaluator

# What a segmentation model has to know of the data.
segmentor = dict(
    data_preprocessor=dict(size=crop_size),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(284, 284)))
