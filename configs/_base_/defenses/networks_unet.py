# A small residual U-Net in the place of the paper's generator: on a CPU it reaches in minutes what that one does not.
purifier = dict(
    generator=dict(type='DUNet', widths=(24, 48, 96), encoder_units=(2, 2, 2), decoder_units=(2, 2)),
    discriminator=dict(type='MultiscaleDiscriminator', base_channels=16, num_layers=3, num_scales=2))
