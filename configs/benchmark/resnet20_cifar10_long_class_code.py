# As resnet20_cifar10_long_bottleneck.py, with class probabilities as all that the target gets to see of an image. The
# encoder is an adversarially trained classifier (configs/target/bottleneck_encoder_adversarial_cifar10.py), named by
# --cfg-options data_preprocessor.generator.encoder_checkpoint=work_dirs/.../iter_6000.pth
_base_ = './resnet20_cifar10_long_bottleneck.py'

data_preprocessor = dict(generator=dict(_delete_=True, type='ClassCodeGenerator', num_classes=10))
optim_wrapper = dict(
    optimizer=dict(lr=5e-3),
    paramwise_cfg=dict(
        custom_keys={
            # The encoder is trained; what it calls a class has to be drawn.
            'encoder': dict(lr_mult=0.01),
            'scores': dict(lr_mult=0.01),
            'drawings': dict(lr_mult=10.0)}))
