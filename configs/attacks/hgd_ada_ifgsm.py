# adaIFGSM of HGD, appendix D, the longest of its three lists: FGSM, then four IFGSM of more and more steps (how many is
# our choice), the next one for images that do not mislead all source models. Meant for an ensemble of sources.
attack = dict(
    type='FirstSuccess',
    attacks=[
        dict(type='FGSM', eps=16),
        dict(type='IFGSM', eps=16, step_size=16 / 2, steps=2),
        dict(type='IFGSM', eps=16, step_size=16 / 4, steps=4),
        dict(type='IFGSM', eps=16, step_size=16 / 8, steps=8),
        dict(type='IFGSM', eps=16, step_size=16 / 16, steps=16),
    ])
