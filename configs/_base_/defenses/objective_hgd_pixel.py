# HGD's pixel guided denoiser (equation 1): purified adversarial images against clean ones, mean L1.
objective = dict(
    train_on='adversarial',
    task_weight=0.0,
    losses=[dict(type='PixelReconstructionLoss', adv_guide='clean', clean_weight=0.0)])
