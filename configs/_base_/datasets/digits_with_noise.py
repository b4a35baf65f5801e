# For models that are attacked: trained with noise, they err on features that other models use too, so that attacks
# transfer between them. Without it most do not, and a defense against them would show little.
_base_ = './digits.py'

train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=2),
    dict(type='AddGaussianNoise', std=30),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
