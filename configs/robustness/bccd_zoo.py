# Purifiers of zoo/ in front of a light SSD on BCCD, at several budgets, against attackers who do not look at them, who have another
# model, and who know them. TI is what transfers best here (docs/attacks.md).
target = dict(config='configs/target/light_ssd_bccd.py', checkpoint='checkpoints/light_ssd_bccd.pth')
source = dict(config='configs/target/light_fcos_bccd.py', checkpoint='checkpoints/light_fcos_bccd.pth')


def purifier(name):
    return dict(data_preprocessor=dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=f'zoo/{name}_light_ssd_bccd.pth')))


defenses = dict(none=dict(), general=purifier('general'), adaptive=purifier('adaptive'))

attacks = dict()
for eps in (2, 4, 8):
    budget = dict(eps=eps, step_size=eps / 4, steps=10, objective='cls+loc')
    attacks[f'BIM {eps}'] = dict(type='BIM', **budget)
    attacks[f'TI {eps}'] = dict(type='TIFGSM', kernel_size=7, **budget)
del eps, budget, purifier

_bim = ['BIM 2', 'BIM 4', 'BIM 8']
threat_models = [
    dict(name='gray-box', attacks=_bim),
    dict(name='transfer', source=source, attacks=['TI 2', 'TI 4', 'TI 8']),
    dict(name='adaptive', attacks=_bim),
]
test_dataloader = dict(batch_size=12, num_workers=0)
