# Digits are black on white: it takes more than on photographs until a model errs. The images have 32 pixels, and the
# smoothed form the kernel of pgd_ti_cls_test.py.
attacks = {
    'FGSM': dict(type='FGSM', eps=0.12 * 255),
    'PGD': dict(type='PGD', eps=0.12 * 255, step_size=0.03 * 255, steps=10),
    'TI-PGD': dict(
        type='PGD', eps=0.12 * 255, step_size=0.03 * 255, steps=10, kernel_size=3, kernel_sigma=1),
}
