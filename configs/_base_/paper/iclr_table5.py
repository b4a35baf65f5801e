# Align, version of ICLR 2021, Table 5.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 5, {title}',
    rows={
        'No Defense': dict(
            cifar10=[95.1, 0.0, 0.0, 0.1],
            cifar100=[78.1, 0.1, 0.1, 0.1],
            tinyimagenet=[64.5, 0.2, 0.1, 0.2],
            cityscapes=[73.5, 3.7, 37.4, 6.6],
            voc2012=[76.4, 8.2, 41.5, 2.6],
            voc0712=[72.5, 5.4, 2.8, 1.1]),
        'Full': dict(
            cifar10=[90.7, 85.1, 90.3, 90.6],
            cifar100=[68.7, 51.6, 66.9, 67.7],
            tinyimagenet=[62.9, 34.6, 59.19, 62.1],
            cityscapes=[67.6, 58.5, 60.9, 64.4],
            voc2012=[71.2, 61.3, 64.5, 68.7],
            voc0712=[60.5, 44.0, 52.0, 44.7]),
        'Full with jpeg': dict(
            cifar10=[90.4, 84.3, 89.9, 90.3],
            cifar100=[66.6, 51.4, 65.4, 66.1],
            tinyimagenet=[62.8, 32.0, 57.4, 60.1],
            cityscapes=[66.5, 57.1, 61.1, 63.0],
            voc2012=[70.9, 60.7, 63.3, 68.1],
            voc0712=[60.3, 43.9, 51.9, 44.6]),
    })
