# The models of `make demo` (which trains them): the purifier against JPEG and no defense, on built-in digits.
_base_ = '../_base_/attacks/suite_digits.py'

target = dict(config='configs/target/digits_target.py', checkpoint='work_dirs/demo/cls/target/epoch_10.pth')
source = dict(config='configs/target/digits_source.py', checkpoint='work_dirs/demo/cls/source/epoch_10.pth')

defenses = dict(
    none=dict(),
    align=dict(config='configs/demo/digits_align.py', checkpoint='work_dirs/demo/cls/purifier/epoch_8.pth'),
    # The three channels of a digit are equal, in any order.
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75, channel_order='rgb')))

threat_models = [
    'gray-box',
    dict(name='transfer', source=source),
    'adaptive',
    'adaptive-bpda',
]
num_images = 200
layers = ['backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'head.fc']
distributions = dict(attack='PGD', count=300)
