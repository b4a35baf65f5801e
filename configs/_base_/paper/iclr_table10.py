# Align, version of ICLR 2021, Table 10.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 10, {title}',
    rows={
        'No Defense': dict(
            cifar10=[94.3, 0.0, 0.0, 0.0],
            cifar100=[76.1, 0.1, 0.1, 0.2],
            tinyimagenet=[62.1, 0.2, 0.1, 0.2]),
        'Full': dict(
            cifar10=[90.0, 82.7, 89.1, 89.5],
            cifar100=[67.3, 55.5, 66.6, 67.3],
            tinyimagenet=[61.0, 33.7, 57.6, 60.2]),
        'Full with jpeg': dict(
            cifar10=[89.3, 81.1, 88.6, 89.1],
            cifar100=[66.4, 53.6, 65.4, 66.2],
            tinyimagenet=[60.9, 32.0, 57.4, 60.1]),
    })
