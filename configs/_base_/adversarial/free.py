# Free adversarial training (Shafahi et al., NeurIPS 2019) with its setting for CIFAR: each batch eight times, and an eighth
# of the epochs. The attack of the first hook is for probes alone.
custom_hooks = [
    dict(type='AdversarialTrainingHook', attack=dict(type='FGSM', eps=8, objective='task_loss')),
    dict(type='FreeReplayHook', replays=8, eps=8),
]
epochs_factor = 1 / 8
train_dataloader = dict(batch_sampler=dict(type='ReplayBatchSampler', replays=8))
