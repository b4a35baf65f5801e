# Align, table V: MI-FGSM.
attack = dict(type='MIFGSM', eps=0.031 * 255, step_size=0.0075 * 255, steps=100, momentum=1.0)
