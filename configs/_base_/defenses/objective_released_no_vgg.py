# The objective of the authors' released code for classifiers, without its perceptual term (nothing to download, and not every
# field has a VGG): the weights that this package recommends.
_base_ = './objective_recommended.py'

# D sees the one-hot ground truth beside the image: AlignPurifier(**_base_.purifier, **_base_.condition).
condition = dict(condition_on_labels=True)
# VGG-19 at relu1_1 to relu5_1, which sees [-1, 1] instead of what it was trained on.
perceptual = dict(
    type='PerceptualLoss',
    network=dict(type='TorchvisionVGG', depth=19),
    weights='torchvision://vgg19',
    layers=('features.1', 'features.6', 'features.11', 'features.20', 'features.29'),
    layer_weights=(1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0),
    mean=(127.5, 127.5, 127.5),
    std=(127.5, 127.5, 127.5),
    loss_weight=10.0)
