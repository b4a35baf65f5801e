# Rows of docs/leaderboard.md: a light SSD on BCCD behind transforms without weights and purifiers of the zoo. Train both models first:
# python tools/train.py configs/target/light_ssd_bccd.py --out checkpoints/light_ssd_bccd.pth
# python tools/train.py configs/target/light_fcos_bccd.py --out checkpoints/light_fcos_bccd.pth
_base_ = '../_base_/leaderboard/dense.py'

target = dict(config='configs/target/light_ssd_bccd.py', checkpoint='checkpoints/light_ssd_bccd.pth')
source = dict(config='configs/target/light_fcos_bccd.py', checkpoint='checkpoints/light_fcos_bccd.pth')
_aware = dict(type='PGD', eps=8, step_size=2.0, steps=20, objective='cls+loc', random_start='uniform')
attacks = {
    'BIM': dict(type='BIM', eps=8, step_size=2.0, steps=10, objective='cls+loc'),
    'PGD-20': _aware,
    'PGD-20, BPDA': _aware,
}
threat_models = [
    # PGD-20 on the undefended target, which is the strongest attack on it.
    dict(name='gray-box', attacks=['BIM', 'PGD-20']),
    dict(name='transfer', source=source, attacks=['BIM']),
    dict(name='adaptive', attacks=['PGD-20']),
    dict(name='adaptive-bpda', attacks=['PGD-20, BPDA']),
]
fields = dict(aware='PGD-20')


def purifier(name):
    return dict(
        attacks=['BIM', 'PGD-20'],
        data_preprocessor=dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=f'zoo://{name}_light_ssd_bccd')))


defenses = dict(general=purifier('general'), adaptive=purifier('adaptive'))
num_images = 24
test_dataloader = dict(batch_size=12, num_workers=0)
leaderboard = dict(
    dataset='BCCD',
    architecture='light SSD',
    rows=dict(
        general=dict(title='general purifier', footnote='The default recipe; part of its gray-box number is label leaking.'),
        adaptive=dict(title='adaptive purifier', footnote='Trained at eps 4 against an attacker who has its gradient.')))
