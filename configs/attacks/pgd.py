# The usual reference setting of the robustness literature.
attack = dict(type='PGD', eps=8, step_size=2, steps=10)
