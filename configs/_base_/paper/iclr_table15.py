# Align, version of ICLR 2021, Table 15.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 15, {title}',
    rows={
        'L_I': dict(cifar10=[90.4, 44.5, None, 87.7], cifar100=[67.9, 29.6, 63.4, 64.2]),
        'L_F (w/o c)': dict(cifar10=[87.2, 17.2, 17.7, 17.9], cifar100=[61.8, 23.8, 28.2, 28.7]),
        'L_I+F (w/o c)': dict(cifar10=[90.6, 67.1, 88.0, 88.6], cifar100=[68.1, 40.1, 64.1, 65.5]),
        'L_T': dict(cifar10=[92.8, 18.1, 87.0, 86.7], cifar100=[71.2, 14.9, 62.6, 63.4]),
        'L_T+F (w/o c)': dict(cifar10=[92.5, 59.9, 87.0, 87.0], cifar100=[70.3, 36.6, 63.4, 65.2]),
        'NRP': dict(cifar10=[91.9, 60.4, None, 88.0], cifar100=[70.3, 36.2, 63.5, 64.6]),
        'Denoise': dict(cifar10=[89.8, 73.0, 87.7, 87.1], cifar100=[67.3, 35.7, 63.7, 64.2]),
        'APE': dict(cifar10=[90.2, 10.1, 86.2, 86.4], cifar100=[73.3, 11.4, 64.8, 65.4]),
        'FPD': dict(cifar10=[48.6, 44.3, 44.4, 44.4], cifar100=[52.6, 30.5, 31.1, 31.2]),
        'Defense': dict(cifar10=[39.9, 38.5, 39.8, 39.9], cifar100=[31.2, 21.5, 22.8, 22.5]),
        'SR': dict(cifar10=[48.0, 44.8, 45.2, 45.3], cifar100=[33.6, 24.8, 25.5, 25.5]),
        'Ours': dict(cifar10=[90.7, 73.3, 88.4, 89.1], cifar100=[68.7, 42.0, 64.9, 65.8]),
    })
