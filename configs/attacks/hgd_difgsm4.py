# dIFGSM of HGD, appendix D: four steps of decaying size that add up to the budget; in these proportions by our choice.
attack = dict(type='IFGSM', eps=16, step_sizes=[0.4 * 16, 0.3 * 16, 0.2 * 16, 0.1 * 16])
