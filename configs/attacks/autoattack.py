# The four attacks of Croce and Hein (ICML 2020) with their settings, in Align's budget.
attack = dict(type='AutoAttack', eps=0.031 * 255)
