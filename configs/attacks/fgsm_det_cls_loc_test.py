# Align, section 4.5, for detectors: on both losses at once.
attack = dict(type='FGSM', eps=8, objective='cls+loc')
