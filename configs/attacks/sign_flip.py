# Align, section 4.5.
attack = dict(type='SignFlip', eps=0.031 * 255, queries=20000, reduction=2.0)
