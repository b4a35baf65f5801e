# PDPGD (Matyasko and Chau, 2021) with a dual variable for each pixel, within the budget that Align has for segmentors;
# without eps it is the minimum-norm form. The papers take 500 steps.
attack = dict(type='PDPGD', eps=0.03 * 255, steps=100)
