# Align, version of ICLR 2021, Table 1.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 1, {title}',
    rows={
        'No Defense': dict(
            cifar10=[95.1, 0.0, 0.0, 0.0],
            cifar100=[78.1, 0.1, 0.1, 0.1],
            tinyimagenet=[64.5, 0.2, 0.1, 0.2]),
        'L_I': dict(
            cifar10=[90.4, 62.9, 85.6, 86.9],
            cifar100=[67.9, 36.2, 63.7, 65.0],
            tinyimagenet=[63.4, 6.4, 56.1, 59.8]),
        'L_F (w/o c)': dict(
            cifar10=[87.2, 84.0, 86.8, 87.2],
            cifar100=[61.8, 50.5, 61.3, 61.6],
            tinyimagenet=[62.7, 31.1, 57.7, 61.5]),
        'L_I+F (w/o c)': dict(
            cifar10=[90.7, 81.9, 89.0, 89.4],
            cifar100=[68.1, 50.1, 65.3, 66.1],
            tinyimagenet=[63.2, 32.4, 57.3, 60.4]),
        'L_T': dict(
            cifar10=[92.9, 29.5, 84.0, 85.9],
            cifar100=[71.2, 15.8, 61.2, 63.7],
            tinyimagenet=[63.4, 0.7, 54.0, 58.8]),
        'L_T+F (w/o c)': dict(
            cifar10=[92.5, 76.2, 86.6, 87.1],
            cifar100=[70.3, 45.8, 63.7, 64.7],
            tinyimagenet=[63.4, 30.8, 54.4, 58.6]),
        'Full': dict(
            cifar10=[90.7, 85.1, 90.3, 90.6],
            cifar100=[68.7, 51.6, 66.9, 67.7],
            tinyimagenet=[62.9, 34.6, 59.1, 62.1]),
    })
