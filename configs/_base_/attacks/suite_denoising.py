# Feature Denoising, section 6: targeted PGD with a random class and a step of max(1, eps / steps), ever more steps.
# "worst case" of the report counts an image that is right under every one of them. The smoothed form, which the paper
# does not run, has the kernel of Dong et al. (CVPR 2019) for images of this size.
_eps = 16
attacks = {
    f'PGD-{steps}': dict(type='PGD', eps=_eps, step_size=max(1, _eps / steps), steps=steps, targeted='random')
    for steps in (10, 100, 200, 400, 600, 800, 1000, 2000)
}
attacks['TI-PGD-100'] = dict(
    type='PGD', eps=_eps, step_size=1, steps=100, targeted='random', kernel_size=15, kernel_sigma=7 / 3)
