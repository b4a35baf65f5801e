# The columns of Align's table V with the numbers of its section 4.5; each also is a config of its own in configs/attacks.
# What the paper leaves open: the kernel of DIM's translation-invariant form (3 pixels, for images of 32), the decision
# queries of Curls & Whey, and which of its two losses Square's column shows (both are here).
# Auto is what the paper calls AutoAttack, APGD on the cross-entropy, and needs torchattacks.
_eps, _step = 0.031 * 255, 0.0075 * 255
attacks = dict(
    SSP=dict(type='SSP', eps=_eps, step_size=_step, steps=100),
    FDA=dict(type='FDA', eps=_eps, step_size=_step, steps=100),
    TAP=dict(type='TAP', eps=_eps, step_size=_step, steps=100, label_weight=1.0),
    MI=dict(type='MIFGSM', eps=_eps, step_size=_step, steps=100, momentum=1.0),
    Auto=dict(type='TorchAttack', name='APGD', eps=_eps, steps=1000, n_restarts=5, rho=0.75, loss='ce'),
    Square=dict(type='Square', eps=_eps, queries=10000, p_init=0.3),
    SquareCE=dict(type='Square', eps=_eps, queries=10000, p_init=0.3, objective='cross_entropy'),
    CuWh=dict(
        type='CurlsWhey', eps=_eps, queries=3000, step_size=_step, steps=100, noise_std=2**0.5, rounds=12),
    DIM=dict(
        type='DIFGSM',
        eps=_eps,
        step_size=_step,
        steps=100,
        momentum=1.0,
        diversity=0.5,
        kernel_size=3,
        kernel_sigma=1),
    PPDA=dict(type='PPDA', eps=_eps, queries=4000, dimensions=1500, step_size=_step),
    GeoDA=dict(type='GeoDA', eps=_eps, queries=4000, subspace=75, ratio=0.6),
    SF=dict(type='SignFlip', eps=_eps, queries=20000, reduction=2.0),
    DR=dict(type='DR', eps=_eps, step_size=_step, steps=100))
