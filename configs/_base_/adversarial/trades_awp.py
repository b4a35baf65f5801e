# AWP on TRADES, TRADES-AWP (Wu, Xia and Wang, NeurIPS 2020): trades.py with half the perturbation of awp.py, after ten epochs
# without; the weights climb the objective of TRADES.
_base_ = './trades.py'

custom_hooks = _base_.custom_hooks
custom_hooks[0].update(weight_perturbation=0.005, weight_warmup=10)
