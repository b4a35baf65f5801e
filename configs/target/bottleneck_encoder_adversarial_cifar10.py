# The encoder of BottleneckGenerator as a classifier, trained with the attack and schedule of the ResNet-20. A purifier
# starts from it with generator=dict(encoder_checkpoint=...).
_base_ = './resnet20_adversarial_cifar10.py'

# Images as the generator sees them: in [-1, 1], in the channel order of the pipeline.
data_preprocessor = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=False)
model = dict(backbone=dict(_delete_=True, type='BottleneckEncoder'), head=dict(in_channels=128))
