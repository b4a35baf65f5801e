# Align, section 4.2, for images of 32 to 64 pixels: pix2pixHD's global generator with two down-samplings.
purifier = dict(
    generator=dict(type='GlobalGenerator', base_channels=64, num_downsamples=2, num_blocks=9),
    discriminator=dict(type='MultiscaleDiscriminator', base_channels=64, num_layers=3, num_scales=2))
