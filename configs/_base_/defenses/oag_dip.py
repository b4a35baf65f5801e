# The deep image prior, which OAG is compared with, for images of about 32 pixels.
purifier = dict(
    type='DIPPurifier',
    num_steps=300,
    learning_rate=0.01,
    network=dict(type='HourglassNetworks', noise_channels=16, widths=(16, 32, 64), skip_channels=16),
    progress=True)
