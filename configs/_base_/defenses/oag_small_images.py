# OAG for images of about 32 pixels: few filters at positions half a kernel apart.
purifier = dict(
    type='OAGPurifier',
    num_steps=150,
    image_steps=20,
    noise=0.3,
    learning_rate=0.01,
    network=dict(type='EnergyNetworks', num_filters=8, kernel_size=15, stride=7),
    progress=True)
