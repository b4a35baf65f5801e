# The smallest residual U-Net that makes a difference, for the demos.
purifier = dict(
    generator=dict(type='DUNet', widths=(16, 32, 64), encoder_units=(1, 2, 2), decoder_units=(1, 2)),
    discriminator=dict(type='MultiscaleDiscriminator', base_channels=16, num_layers=3, num_scales=1))
