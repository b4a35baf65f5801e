# dpatch.py for detectors, which are attacked through their own losses.
attack = dict(type='DPatch', area=0.05, steps=100, step_size=8, objective='cls+loc')
