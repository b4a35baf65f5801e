# Trained against an attacker who has the gradient through purifier and target. Nothing of the image reaches the target but
# through 4 x 4 positions of the generator's bottleneck.
_base_ = './resnet20_cifar10_long_align.py'

data_preprocessor = dict(
    discriminator=None,
    generator=dict(_delete_=True, type='GlobalGenerator', base_channels=16, num_downsamples=3, num_blocks=4))
custom_hooks = [
    dict(
        type='PurifierTrainHook',
        threat='adaptive',
        attack=dict(type='PGD', eps=8, step_size=4, steps=3, random_start='uniform'),
        task_weight=1.0,
        feature_layer='pre_logits',
        losses=[dict(type='FeatureReconstructionLoss', loss_weight=0.1)])]
