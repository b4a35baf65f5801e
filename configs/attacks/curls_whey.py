# Align, section 4.5, with the gradients of the attacked model itself. For an attacker who may only ask it, add
# substitute=dict(config=..., checkpoint=...), another model of the same data, and test with the threat model 'query'.
attack = dict(
    type='CurlsWhey',
    eps=0.031 * 255,
    queries=3000,
    step_size=0.0075 * 255,
    steps=100,
    noise_std=2**0.5,
    rounds=12)
