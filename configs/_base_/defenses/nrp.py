# NRP's objective, but for its network of features: pixels, features and the relativistic discriminator, weighted as in
# the paper. Images are in [-1, 1], where the squared error is four times that in [0, 1]. The features are those of the
# target's last stage here, which need no download; nrp_vgg16.py has the paper's.
purifier = dict(generator=dict(type='NRPGenerator'), discriminator=dict(type='NRPDiscriminator', num_pairs=3))
# On the target's own features. The paper takes 100 steps of 0.01 of the range of pixels.
attack = dict(type='SSP', eps=16, step_size=4, steps=10)
objective = dict(
    train_on='adversarial',
    task_weight=0.0,
    feature_layer='backbone',
    losses=[
        dict(type='PixelMSELoss', adv_guide='clean', clean_weight=0.0, loss_weight=1e-2 / 4),
        dict(type='FeatureReconstructionLoss', clean_weight=0.0),
        dict(type='RelativisticGANLoss', generator_weight=5e-3),
    ])
adam = dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))
