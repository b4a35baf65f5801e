# DDC-AT (Xu, Zhao and Jia, ICCV 2021): as sat.py, with a second classifier for pixels whose class changes under attack. The
# batch is attacked as a whole, since clean pixels are divided by what the attack does to them.
custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=dict(type='BIM', eps=0.03 * 255, step_size=0.01 * 255, steps=3),
        train_on='both',
        # The mean over both halves, as with half of each batch.
        task_weight=0.5,
        replaced=['decode.'],
        losses=[dict(type='DivideAndConquerLoss', feature_layer='pre_logits')]),
]
