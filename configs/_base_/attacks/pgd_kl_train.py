# Align, section 4.4: what classifiers' purifiers are trained on. PGD on the KL divergence as in TRADES.
attack = dict(
    type='PGD',
    eps=0.031 * 255,
    step_size=0.0175 * 255,
    steps=4,
    random_start='normal',
    start_std=0.001 * 255,
    objective='kl')
