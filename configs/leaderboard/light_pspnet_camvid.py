# Rows of docs/leaderboard.md: a light PSPNet on CamVid behind transforms without weights and two purifiers of the zoo. Train both models first:
# python tools/train.py configs/target/light_pspnet_camvid.py --out checkpoints/light_pspnet_camvid.pth
# python tools/train.py configs/target/light_deeplabv3_camvid.py --out checkpoints/light_deeplabv3_camvid.pth
_base_ = '../_base_/leaderboard/dense.py'

target = dict(config='configs/target/light_pspnet_camvid.py', checkpoint='checkpoints/light_pspnet_camvid.pth')
source = dict(config='configs/target/light_deeplabv3_camvid.py', checkpoint='checkpoints/light_deeplabv3_camvid.pth')
_aware = dict(type='SegPGD', eps=8, step_size=2.0, steps=20)
attacks = {'BIM': dict(type='BIM', eps=8, step_size=2.0, steps=10), 'SegPGD': _aware, 'SegPGD, BPDA': _aware}
threat_models = [
    # SegPGD of the undefended target, which is the strongest attack on it.
    dict(name='gray-box', attacks=['BIM', 'SegPGD']),
    dict(name='transfer', source=source, attacks=['BIM']),
    dict(name='adaptive', attacks=['SegPGD']),
    dict(name='adaptive-bpda', attacks=['SegPGD, BPDA']),
]
fields = dict(aware='SegPGD')
defenses = {
    name: dict(
        attacks=['BIM', 'SegPGD'],
        data_preprocessor=dict(
            type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=f'zoo://{name}_light_pspnet_camvid')))
    for name in ('general', 'adaptive')
}
num_images = 24
test_dataloader = dict(batch_size=8, num_workers=0)
leaderboard = dict(
    dataset='CamVid',
    architecture='light PSPNet',
    rows=dict(
        general=dict(
            title='general purifier',
            footnote='The default recipe, for attackers who do not know of it.'),
        adaptive=dict(title='adaptive purifier', footnote='Trained at eps 4 against an attacker who has its gradient.')))
