# NRP as in the paper: perturbations of the features of VGG-16, and the distance of its features up to relu3_3. Get the
# source model's weights from MMPretrain's model zoo; torchvision's are downloaded.
purifier = dict(generator=dict(type='NRPGenerator'), discriminator=dict(type='NRPDiscriminator'))
attack = dict(type='SSP', eps=16, step_size=0.01 * 255, steps=100)
sources = [dict(config='configs/target/vgg16_imagenet.py', checkpoint='checkpoints/vgg16_imagenet.pth')]
objective = dict(
    train_on='adversarial',
    task_weight=0.0,
    losses=[
        dict(type='PixelMSELoss', adv_guide='clean', clean_weight=0.0, loss_weight=1e-2 / 4),
        # features.15 is relu3_3
        dict(type='PerceptualLoss', layers=('features.15', ), adv_guide='clean', clean_weight=0.0),
        dict(type='RelativisticGANLoss', generator_weight=5e-3),
    ])
adam = dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))
