# resnet20_cifar10_smoothed_025.py with a larger generator.
_base_ = './resnet20_cifar10_smoothed_025.py'

data_preprocessor = dict(
    generator=dict(widths=(48, 96, 192, 192), encoder_units=(2, 2, 2, 2), decoder_units=(2, 2, 2)))
