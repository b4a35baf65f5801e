# The ablation of OAG's paper (section IV-H), with the network of oag_small_images.py as its encoder.
purifier = dict(
    type='OneStepAutoEncoderPurifier',
    num_steps=200,
    learning_rate=0.01,
    network=dict(type='ScalarAutoEncoders', num_filters=8, kernel_size=15, stride=7),
    progress=True)
