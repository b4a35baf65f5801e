# Align, section 4.2, for detection and segmentation: pix2pixHD's global generator with four down-samplings.
purifier = dict(
    generator=dict(type='GlobalGenerator', base_channels=64, num_downsamples=4, num_blocks=9),
    discriminator=dict(type='MultiscaleDiscriminator', base_channels=64, num_layers=3, num_scales=2))
