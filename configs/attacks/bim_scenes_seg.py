# Large dark or bright digits take more than photographs: two thirds of the mIoU.
attack = dict(type='BIM', eps=14, step_size=2, steps=16)
