# The built-in data set: real images, nothing to download. Items hold the image, so no loading transform.
dataset_type = 'HandwrittenDigits'
data_preprocessor = dict(
    num_classes=10,
    # of the training images; the three channels are equal
    mean=[79.8, 79.8, 79.8],
    std=[90.9, 90.9, 90.9],
    to_rgb=False)

train_pipeline = [
    # A shift of half an original pixel. No flip: a mirrored digit is no digit.
    dict(type='RandomCrop', crop_size=32, padding=2),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, split='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, split='test', pipeline=test_pipeline))
val_evaluator = dict(type='Accuracy', topk=(1, ))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
