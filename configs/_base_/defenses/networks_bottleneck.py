# For dense tasks whose attackers have the purifier's gradient: no path around its code, so nothing of the image reaches the model that
# it has not learned to pass.
purifier = dict(
    discriminator=None,
    generator=dict(
        type='BottleneckGenerator', num_downsamples=2, widths=(16, 32, 64), blocks=(1, 1, 2), code_channels=16))
