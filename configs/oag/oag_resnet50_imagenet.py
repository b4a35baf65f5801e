# OAG in the paper's setting: ResNet-50 on ILSVRC 2012, 600 network steps. Get the weights from MMPretrain's model zoo.
_base_ = ['../target/resnet50_imagenet.py', '../_base_/defenses/oag_large_images.py']

custom_imports = dict(imports=['mmadvdefense'], allow_failed_imports=False)
load_from = 'checkpoints/resnet50_imagenet.pth'
data_preprocessor = dict(**{**_base_.purifier, 'num_steps': 600})
