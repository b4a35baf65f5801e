# OAG's table I on ILSVRC 2012: 2000 images, two of each class, that the target classifies correctly (section IV).
# As in the paper, nobody knows of the defense: what it is worth against who does, this grid does not say.
target = dict(config='configs/target/resnet50_imagenet.py', checkpoint='checkpoints/resnet50_imagenet.pth')
defenses = dict(
    none=dict(),
    mean=dict(data_preprocessor=dict(type='MeanFilterPurifier')),
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    total_variation=dict(data_preprocessor=dict(type='TotalVariationPurifier')),
    pixel_deflection=dict(data_preprocessor=dict(type='PixelDeflectionPurifier')),
    resize_pad=dict(data_preprocessor=dict(type='RandomResizePadPurifier')),
    oag=dict(config='configs/oag/oag_resnet50_imagenet.py', checkpoint='checkpoints/resnet50_imagenet.pth'))

# As in ../attacks/oag_*_test.py; C&W looks for the smallest change (L2).
attacks = dict(
    FGSM=dict(type='FGSM', eps=6, targeted='random'),
    IGSM=dict(type='IFGSM', eps=6, step_size=1, steps=8, targeted='random'),
    MIFGSM=dict(type='MIFGSM', eps=2, step_size=1, steps=3),
    CW=dict(type='CarliniWagner', norm='l2', binary_search_steps=9, steps=1000))
threat_models = ['gray-box']
correct_only = True
images_per_class = 2
