# Trained against an attacker who has the gradient through purifier and target, with a generator that is fast on a CPU: 4 x
# 4 positions of 32 numbers are all that the target gets to see of an image. To start from the encoder of a classifier
# (configs/target/bottleneck_encoder_adversarial_cifar10.py), add
# --cfg-options data_preprocessor.generator.encoder_checkpoint=work_dirs/.../iter_6000.pth
_base_ = './resnet20_cifar10_long_adaptive.py'

data_preprocessor = dict(generator=dict(_delete_=True, type='BottleneckGenerator'))
custom_hooks = [
    dict(
        type='PurifierTrainHook',
        threat='adaptive',
        attack=dict(type='PGD', eps=8, step_size=5, steps=2, random_start='uniform'),
        task_weight=1.0,
        feature_layer='pre_logits',
        losses=[dict(type='FeatureReconstructionLoss', loss_weight=0.1)])]
