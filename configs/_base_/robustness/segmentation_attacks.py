# Attacks on segmentors with 40 gradients an image. SEA divides them among four losses: 7 steps and 3 starts each.
attacks = {}
for budget in (2, 4, 8):
    steps = dict(eps=budget, step_size=budget / 4, steps=40)
    sea = dict(type='EachPart', attack=dict(type='SEA', eps=budget, steps=7))
    attacks.update({
        f'BIM {budget}': dict(type='BIM', **steps),
        f'PGD {budget}': dict(type='PGD', **steps),
        f'SegPGD {budget}': dict(type='SegPGD', **steps),
        f'CosPGD {budget}': dict(type='CosPGD', **steps),
        # The worst of the same images, by pixel accuracy and by the mIoU of the set.
        f'SEA {budget}': dict(sea, worst_by='accuracy'),
        f'SEA-mIoU {budget}': dict(sea, worst_by='miou'),
    })
