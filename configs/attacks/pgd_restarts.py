# What robustness is usually claimed under: the same steps as pgd.py, twice as many, from ten starts.
attack = dict(type='PGD', eps=8, step_size=2, steps=20, restarts=10)
