# What the rows of the leaderboard for dense predictions share: transforms without weights, which keep boxes and masks in their place.
# A grid names, as fields = dict(aware=...), the attack of those who know the defense; by BPDA it has the gradient of the identity.
aware = ['BIM', '{aware}']
defenses = dict(
    none=dict(attacks=aware),
    jpeg_75=dict(attacks=['BIM', '{aware}, BPDA'], data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    bit_depth=dict(attacks=['BIM', '{aware}, BPDA'], data_preprocessor=dict(type='BitDepthPurifier', bits=3)),
    mean_filter=dict(attacks=aware, data_preprocessor=dict(type='MeanFilterPurifier')),
    median_filter=dict(attacks=aware, data_preprocessor=dict(type='MedianFilterPurifier')))
num_examples = 0
_by = [dict(name='adaptive', attacks=['{aware}']), dict(name='adaptive-bpda', attacks=['{aware}, BPDA'])]
scales = dict(eight_bit=dict(quantize=True, threat_models=_by))
guo = dict(
    title='Guo et al., Countering Adversarial Images using Input Transformations, ICLR 2018',
    link='https://arxiv.org/abs/1711.00117')
xu = dict(title='Xu et al., Feature Squeezing, NDSS 2018', link='https://arxiv.org/abs/1704.01155')
li = dict(
    title='Li and Li, Adversarial Examples Detection in Deep Networks with Convolutional Filter Statistics, ICCV 2017',
    link='https://arxiv.org/abs/1612.07767')
_bpda = 'Not differentiable: attacked with the gradient of the identity (BPDA).'
leaderboard = dict(
    rows=dict(
        none=dict(title='no defense'),
        jpeg_75=dict(title='JPEG, quality 75', reference=guo, footnote=_bpda),
        bit_depth=dict(title='bit depth, 3 bits', reference=xu, footnote=_bpda),
        mean_filter=dict(title='mean filter, 3 x 3', reference=li),
        median_filter=dict(title='median filter, 3 x 3', reference=xu)))
