# OAG in the paper's setting: ResNet-18 on Oxford Flower-17, 300 network steps.
_base_ = ['../target/resnet18_flowers17.py', '../_base_/defenses/oag_large_images.py']

load_from = 'checkpoints/resnet18_flowers17.pth'
data_preprocessor = _base_.purifier
