# Align, section 4.5, for classifiers, translation-invariant (Dong et al., CVPR 2019). The paper names no kernel size;
# 3 pixels suits 32-pixel images, where the 15 of the ImageNet original removes most of the gradient.
attack = dict(type='PGD', eps=0.031 * 255, step_size=0.0075 * 255, steps=8, kernel_size=3, kernel_sigma=1)
