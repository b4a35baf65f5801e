# Align, section 4.5, for segmentation: per pixel, projected into the ball. Only the likeliest wrong class of each pixel,
# since the others take longer and are hardly ever nearer.
attack = dict(type='DeepFool', eps=0.03 * 255, norm='linf', steps=20, num_candidates=1)
