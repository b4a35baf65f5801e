# Align, section 4.5: on the margin. The 10,000 queries are the limit of Andriushchenko et al. (ECCV 2020), too.
attack = dict(type='Square', eps=0.031 * 255, queries=10000, p_init=0.3)
