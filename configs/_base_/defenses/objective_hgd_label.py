# HGD's class label guided denoiser: the target's own loss, on adversarial images alone.
objective = dict(train_on='adversarial', task_weight=1.0, losses=[])
