# PixelDefend: the likelihood of clean images under a small PixelCNN++.
purifier = dict(generator=dict(type='PixelCNN'))
objective = dict(train_on='clean', task_weight=0.0, losses=[dict(type='NegativeLogLikelihoodLoss')])
adam = dict(type='Adam', lr=1e-3, betas=(0.95, 0.9995))
