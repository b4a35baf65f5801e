# Defense-GAN: WGAN-GP on clean images alone, five steps of the critic for one of the generator.
purifier = dict(generator=dict(type='WGANGenerator'), discriminator=dict(type='WGANCritic'))
objective = dict(
    train_on='clean',
    task_weight=0.0,
    losses=[dict(type='WassersteinGANLoss', penalty_weight=10.0, generator_interval=5)])
adam = dict(type='Adam', lr=1e-4, betas=(0.5, 0.9))
