# Align, section 4.5, for detectors: on what is there.
attack = dict(type='FGSM', eps=8, objective='cls')
