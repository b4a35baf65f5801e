# EDSR's training: clean images alone, mean L1 in place of the attacks and targets of other purifiers. Batches of 16 patches
# of 192 pixels in the paper.
purifier = dict(generator=dict(type='EDSR'))
objective = dict(
    train_on='clean',
    task_weight=0.0,
    losses=[dict(type='PixelReconstructionLoss', clean_guide='clean', adv_weight=0.0)])
adam = dict(type='Adam', lr=1e-4, betas=(0.9, 0.999))
