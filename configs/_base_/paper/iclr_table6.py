# Align, version of ICLR 2021, Table 6.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 6, {title}',
    rows={
        'No Defense': dict(
            cifar10=[94.3, 0.0, 0.0, 0.0],
            cifar100=[76.1, 0.1, 0.1, 0.2],
            tinyimagenet=[62.1, 0.2, 0.1, 0.2]),
        'L_I': dict(
            cifar10=[90.6, 53.2, 85.1, 85.9],
            cifar100=[65.9, 41.4, 64.0, 65.1],
            tinyimagenet=[61.0, 7.2, 56.7, 59.0]),
        'L_F (w/o c)': dict(
            cifar10=[88.9, 81.0, 88.6, 88.8],
            cifar100=[58.8, 54.4, 58.4, 58.7],
            tinyimagenet=[60.4, 31.9, 56.5, 59.5]),
        'L_I+F (w/o c)': dict(
            cifar10=[90.3, 80.4, 87.7, 88.1],
            cifar100=[68.3, 53.9, 65.3, 66.0],
            tinyimagenet=[60.7, 32.4, 57.1, 59.5]),
        'L_T': dict(
            cifar10=[91.0, 23.8, 83.4, 84.9],
            cifar100=[69.9, 24.5, 60.7, 62.5],
            tinyimagenet=[61.5, 1.2, 54.1, 57.4]),
        'L_T+F (w/o c)': dict(
            cifar10=[91.7, 75.2, 85.6, 86.2],
            cifar100=[69.9, 48.2, 63.5, 64.5],
            tinyimagenet=[61.3, 30.5, 55.8, 57.1]),
        'Full': dict(
            cifar10=[90.0, 82.7, 89.1, 89.5],
            cifar100=[67.3, 55.5, 66.6, 67.3],
            tinyimagenet=[61.0, 33.7, 57.6, 60.2]),
    })
