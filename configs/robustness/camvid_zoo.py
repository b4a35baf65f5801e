# Purifiers of zoo/ in front of a light PSPNet on CamVid, at several budgets, against attackers who do not look at them, who have another
# model, and who know them. MI is what transfers best here (docs/attacks.md).
target = dict(config='configs/target/light_pspnet_camvid.py', checkpoint='checkpoints/light_pspnet_camvid.pth')
source = dict(config='configs/target/light_deeplabv3_camvid.py', checkpoint='checkpoints/light_deeplabv3_camvid.pth')


def purifier(name):
    return dict(data_preprocessor=dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=f'zoo/{name}_light_pspnet_camvid.pth')))


defenses = dict(none=dict(), general=purifier('general'), adaptive=purifier('adaptive'))

attacks = dict()
for eps in (2, 4, 8):
    budget = dict(eps=eps, step_size=eps / 4, steps=10)
    attacks[f'BIM {eps}'] = dict(type='BIM', **budget)
    attacks[f'MI {eps}'] = dict(type='MIFGSM', **budget)
del eps, budget, purifier

_bim = ['BIM 2', 'BIM 4', 'BIM 8']
threat_models = [
    dict(name='gray-box', attacks=_bim),
    dict(name='transfer', source=source, attacks=['MI 2', 'MI 4', 'MI 8']),
    dict(name='adaptive', attacks=_bim),
]
test_dataloader = dict(batch_size=8, num_workers=0)
num_images = 24
