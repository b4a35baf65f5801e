# Align, section 4.5, for detectors: on where it is.
attack = dict(type='FGSM', eps=8, objective='loc')
