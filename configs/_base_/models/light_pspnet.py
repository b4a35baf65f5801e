# PSPNet on a narrow ResNet-18: trains from random weights on a CPU.
_base_ = './pspnet_r50.py'

norm_cfg = dict(_delete_=True, type='BN')
model = dict(
    pretrained=None,
    backbone=dict(depth=18, base_channels=24, stem_channels=24, norm_cfg=norm_cfg),
    decode_head=dict(in_channels=192, channels=64, norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=96, channels=32, norm_cfg=norm_cfg))
