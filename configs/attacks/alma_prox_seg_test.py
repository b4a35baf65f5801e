# ALMAProx (Rony et al., CVPR 2023) within the budget that Align has for segmentors; without eps it is the paper's
# minimum-norm form. The paper takes 500 steps.
attack = dict(type='ALMAProx', eps=0.03 * 255, steps=100)
