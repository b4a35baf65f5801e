# Section 4.5 for detection: one step of 8 on a part of the detector's loss.
attacks = {name: dict(type='FGSM', eps=8, objective=name) for name in ('cls', 'loc', 'cls+loc')}
columns = {name: name for name in ('clean', *attacks)}
