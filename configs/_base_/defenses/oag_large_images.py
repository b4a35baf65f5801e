# OAG as in the paper's experiments with images of about 224 pixels (section IV-A and IV-E): 15x15 kernels, 20 image
# steps, 300 network steps. The paper is silent on the other numbers.
purifier = dict(
    type='OAGPurifier',
    num_steps=300,
    image_steps=20,
    noise=0.3,
    learning_rate=0.01,
    network=dict(type='EnergyNetworks', num_filters=32, kernel_size=15, stride=7),
    progress=True)
