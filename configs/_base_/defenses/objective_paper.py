# Equation 9 and section 3.3 of the paper to the letter: lambda 4 = 50 on every pixel and feature term, lambda 1 to 3 on
# the class terms (lambda 2 and lambda 3 are swapped against the released code), L_m on all five layers of D (table X).
# Lambda 2 multiplies a sum over ordered pairs of classes: at 100 classes its gradient is 54 times that of the term
# 50 L_Frec, and the generator stays at the identity. From about 20 classes on, take objective_paper_many_classes.py.
objective = dict(
    task_weight=50.0,
    feature_layer='pre_logits',
    losses=[
        dict(type='PixelReconstructionLoss', loss_weight=50.0),
        # VGG-16, relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
        dict(type='PerceptualLoss', weights='torchvision://vgg16', loss_weight=50.0),
        dict(type='LSGANLoss', generator_weight=50.0, discriminator_weight=1.0),
        dict(type='FeatureMatchingLoss', layers=(0, 1, 2, 3, 4), loss_weight=50.0),
        dict(type='FeatureReconstructionLoss', loss_weight=50.0),
        dict(
            type='ClassAlignmentLoss', margin=5.0, hinge=False, align_weight=0.1, inter_weight=1.0, intra_weight=0.005),
    ])
