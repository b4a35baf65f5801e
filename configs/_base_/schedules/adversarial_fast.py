# Fast adversarial training (Wong et al., ICLR 2020; de Jorge et al., NeurIPS 2022) in 6,000 batches of 128, which are 15
# epochs of CIFAR-10: SGD, and a learning rate that rises and falls linearly once. OneCycleLR takes the length twice.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(
    type='OneCycleLR', eta_max=0.1, total_steps=6000, pct_start=0.4, anneal_strategy='linear', by_epoch=False)
train_cfg = dict(by_epoch=False, max_iters=6000, val_interval=2000)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=128)
