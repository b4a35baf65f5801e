# DAG (Xie et al., ICCV 2017) in the paper's settings, within the budget that Align has for segmentors; without eps it
# is the paper's own form.
attack = dict(type='DAG', eps=0.03 * 255, steps=200, gamma=0.5)
