# Align, section 4.5, for classifiers, translation-invariant (Dong et al., CVPR 2019). The paper names no kernel. This one was
# chosen for 32-pixel images by transfer from ResNet-56 to ResNet-20 (docs/attacks.md): 3 and 5 pixels with sigma 1 are
# alike, and wider ones, such as the 15 of the ImageNet original, lose without a defense and gain nothing against one.
attack = dict(type='PGD', eps=0.031 * 255, step_size=0.0075 * 255, steps=8, kernel_size=3, kernel_sigma=1)
