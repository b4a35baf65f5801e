# APE-GAN as in its public PyTorch implementation: FGSM at 0.01 of the range of pixels, MSE and GAN loss against the clean
# image, two steps of the generator for one of the discriminator; batches of 128.
purifier = dict(generator=dict(type='APEGANGenerator'), discriminator=dict(type='APEGANDiscriminator'))
attack = dict(type='FGSM', eps=0.01 * 255)
objective = dict(
    train_on='adversarial',
    task_weight=0.0,
    losses=[
        dict(type='PixelMSELoss', adv_guide='clean', clean_weight=0.0, loss_weight=0.7),
        dict(type='BinaryGANLoss', generator_weight=0.3, discriminator_interval=2),
    ])
adam = dict(type='Adam', lr=2e-4, betas=(0.5, 0.999))
