# Section 4.5 for segmentation; DeepFool also as the minimum-norm attack that it is.
eps, step_size = 0.03 * 255, 0.01 * 255
attacks = {
    'BIM': dict(type='BIM', eps=eps, step_size=step_size, steps=4),
    'DeepFool': dict(type='DeepFool', eps=eps, norm='linf', steps=20, num_candidates=1),
    'DeepFool-fill': dict(type='DeepFool', eps=eps, norm='linf', steps=20, num_candidates=1, fill=True),
    'CW': dict(type='CarliniWagnerBounded', eps=eps, step_size=step_size, steps=4, random_start=None),
}
columns = {'clean': 'clean', 'BIM': 'BIM', 'DeepFool': 'DeepFool-fill', 'C&W': 'CW'}
