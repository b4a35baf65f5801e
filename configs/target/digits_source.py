_base_ = [
    '../_base_/models/digits_source.py',
    '../_base_/datasets/digits_with_noise.py',
    '../_base_/schedules/target_digits.py',
    '../_base_/default_runtime.py',
]
