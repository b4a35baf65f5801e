# Align, section 4.5; the other settings are those of Rahmati et al. (CVPR 2020).
attack = dict(type='GeoDA', eps=0.031 * 255, queries=4000, subspace=75, ratio=0.6)
