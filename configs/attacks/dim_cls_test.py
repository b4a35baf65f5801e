# Align, table V: DIM "with translation invariant attack", decay factor 1 and a probability of 0.5. The paper names no
# kernel; as in pgd_ti_cls_test.py for 32-pixel images.
attack = dict(
    type='DIFGSM',
    eps=0.031 * 255,
    step_size=0.0075 * 255,
    steps=100,
    momentum=1.0,
    diversity=0.5,
    kernel_size=3,
    kernel_sigma=1)
