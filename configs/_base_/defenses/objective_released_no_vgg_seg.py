# The released objective for segmentation without its perceptual term: the term within a class is averaged over all
# positions, not class by class, and ignored positions are a class of their own. (Two things remain: there the logits are
# enlarged to the image first, and D has a channel for ignored positions, where ours sees zeros.)
_base_ = './objective_released_no_vgg.py'

objective = dict(losses=[
    *_base_.objective.losses[:-1], dict(_base_.objective.losses[-1], intra_reduction='vector', ignore_index=None)])
