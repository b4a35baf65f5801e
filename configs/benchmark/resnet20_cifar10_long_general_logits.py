# resnet20_cifar10_long_general.py with one term alone: the logits of purified images are those of clean ones.
_base_ = './resnet20_cifar10_long_general.py'

data_preprocessor = dict(discriminator=None)
custom_hooks = [
    dict(
        type='PurifierTrainHook',
        attack=_base_.attack,
        labels=_base_.labels,
        task_weight=0.0,
        feature_layer='logits',
        losses=[dict(type='FeatureReconstructionLoss')])]
