# Feature Denoising in the paper's setting. What is attacked is the model itself: it has no purifier.
_base_ = '../_base_/attacks/suite_denoising.py'

target = dict(config='configs/target/resnet50_imagenet.py', checkpoint='checkpoints/resnet50_imagenet.pth')
defenses = dict(
    none=dict(),
    denoising=dict(
        config='configs/feature_denoising/feature-denoising_resnet152_1xb32-110e_imagenet.py',
        checkpoint='checkpoints/resnet152_imagenet_denoising.pth'))
threat_models = ['gray-box']
