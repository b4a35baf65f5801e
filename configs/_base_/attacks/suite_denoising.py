# Feature Denoising, section 6: targeted PGD with a random class and a step of max(1, eps / steps), ever more steps.
# "all or nothing" of the report counts an image that is right under every one of them.
_eps = 16
attacks = {
    f'PGD-{steps}': dict(type='PGD', eps=_eps, step_size=max(1, _eps / steps), steps=steps, targeted='random')
    for steps in (10, 100, 200, 400, 600, 800, 1000, 2000)
}
