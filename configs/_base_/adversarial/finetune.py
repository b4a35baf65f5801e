# After another recipe, or alone: from trained weights (load_from), 8 epochs at a fifth of the config's learning rate, which
# drops twice. The papers give no schedule for their finetuned rows.
lr_factor = 0.2
param_scheduler = dict(_delete_=True, type='MultiStepLR', by_epoch=True, milestones=[5, 7], gamma=0.1)
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=8, val_interval=1)
