# Align, section 4.4, for detectors: one step on the classification or the localisation loss, drawn for each batch.
attack = dict(type='FGSM', eps=8, objective='cls_or_loc')
