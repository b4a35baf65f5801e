# FPD's two phases: restoration alone until the image is close, then also the target's own loss. The threshold is ours: 23
# dB of peak signal to noise ratio.
purifier = dict(generator=dict(type='FPDGenerator'))
objective = dict(
    train_on='adversarial',
    task_weight=0.0,
    losses=[
        dict(type='PixelMSELoss', adv_guide='clean', clean_weight=0.0),
        dict(type='GatedTaskLoss', threshold=0.02),
    ])
adam = dict(type='Adam', lr=1e-3, betas=(0.9, 0.999))
