# Whether SEA needs more steps for each of its losses: the attacks of scenes_segmentation.py with 160 gradients an image in all, which
# gives each of SEA's four losses 40 (37 steps and 3 starts).
target = dict(
    config='configs/target/scenes_seg_small.py', checkpoint='work_dirs/scenes_seg_small/epoch_6.pth')

defenses = dict(none=dict())
threat_models = ['gray-box']
num_images = 24

attacks = {}
for eps in (2, 4, 8):
    steps = dict(eps=eps, step_size=eps / 4, steps=160)
    attacks.update({
        f'PGD {eps}': dict(type='PGD', **steps),
        f'SegPGD {eps}': dict(type='SegPGD', **steps),
        f'CosPGD {eps}': dict(type='CosPGD', **steps),
        f'SEA {eps}': dict(type='EachPart', attack=dict(type='SEA', eps=eps, steps=37), worst_by='accuracy'),
        f'SEA-mIoU {eps}': dict(type='EachPart', attack=dict(type='SEA', eps=eps, steps=37), worst_by='miou'),
    })
del eps, steps
