# The attacks of segmentation_attacks.py with 160 gradients an image in all, which gives each of SEA's four losses 40 (37 steps and 3 starts).
attacks = {}
for budget in (2, 4, 8):
    steps = dict(eps=budget, step_size=budget / 4, steps=160)
    sea = dict(type='EachPart', attack=dict(type='SEA', eps=budget, steps=37))
    attacks.update({
        f'PGD {budget}': dict(type='PGD', **steps),
        f'SegPGD {budget}': dict(type='SegPGD', **steps),
        f'CosPGD {budget}': dict(type='CosPGD', **steps),
        f'SEA {budget}': dict(sea, worst_by='accuracy'),
        f'SEA-mIoU {budget}': dict(sea, worst_by='miou'),
    })
del budget, steps, sea
