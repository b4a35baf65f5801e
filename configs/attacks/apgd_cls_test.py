# What Align, section 4.5, calls AutoAttack: APGD on the cross-entropy alone.
attack = dict(type='TorchAttack', name='APGD', eps=0.031 * 255, steps=1000, n_restarts=5, rho=0.75, loss='ce')
