# Align, version of ICLR 2021, Table 3.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 3, {title}',
    rows={
        'No Defense': dict(
            cifar10=[95.1, 0.0, 0.0, 0.1],
            cifar100=[78.1, 0.1, 0.1, 0.1],
            tinyimagenet=[64.5, 0.2, 0.1, 0.2]),
        'No Defense (finetune)': dict(
            cifar10=[95.6, 0.3, 0.5, 0.4],
            cifar100=[79.5, 0.3, 0.3, 0.3],
            tinyimagenet=[63.9, 0.1, 0.3, 0.4]),
        'TRADES': dict(
            cifar10=[87.3, 51.3, 52.3, 86.8],
            cifar100=[62.8, 27.3, 17.5, 59.5],
            tinyimagenet=[58.5, 19.8, 13.8, 55.9]),
        'TRADES (finetune)': dict(
            cifar10=[85.4, 52.7, 56.5, 84.8],
            cifar100=[78.1, 0.1, 26.5, 55.1],
            tinyimagenet=[43.3, 16.8, 15.0, 42.5]),
        'Free-adv': dict(
            cifar10=[77.1, 29.4, 31.8, 75.2],
            cifar100=[49.2, 15.0, 14.4, 47.6],
            tinyimagenet=[55.5, 20.2, 19.1, 54.6]),
        'Free-adv (finetune)': dict(
            cifar10=[88.5, 45.9, 52.4, 87.4],
            cifar100=[63.7, 22.5, 24.6, 61.7],
            tinyimagenet=[42.2, 8.3, 12.5, 48.1]),
        'Quilting': dict(
            cifar10=[87.2, 83.4, 83.2, 82.8],
            cifar100=[64.9, 42.1, 43.2, 42.6],
            tinyimagenet=[58.4, 24.5, 25.1, 25.9]),
        'Quilting + TVM': dict(
            cifar10=[89.2, 83.7, 84.2, 83.7],
            cifar100=[66.2, 43.5, 44.1, 44.5],
            tinyimagenet=[56.1, 25.2, 25.6, 26.1]),
        'JPEG': dict(
            cifar10=[89.1, 38.6, 65.4, 84.5],
            cifar100=[67.1, 21.5, 35.3, 42.1],
            tinyimagenet=[56.3, 12.1, 20.4, 25.2]),
        'Randomization': dict(
            cifar10=[88.2, 56.8, 76.2, 77.4],
            cifar100=[66.4, 35.8, 41.7, 42.7],
            tinyimagenet=[57.4, 20.3, 26.5, 25.3]),
        'NRP': dict(
            cifar10=[91.8, 82.7, 88.6, 88.8],
            cifar100=[70.3, 47.2, 65.0, 65.9],
            tinyimagenet=[59.4, 33.4, 57.3, 59.7]),
        'Denoise': dict(
            cifar10=[89.8, 80.3, 87.8, 87.8],
            cifar100=[67.2, 46.3, 64.0, 64.3],
            tinyimagenet=[59.8, 33.5, 56.1, 60.3]),
        'APE': dict(
            cifar10=[90.2, 19.5, 83.2, 82.5],
            cifar100=[73.2, 10.7, 60.8, 62.6],
            tinyimagenet=[62.4, 0.5, 57.9, 60.4]),
        'FPD': dict(
            cifar10=[48.5, 47.8, 48.4, 48.5],
            cifar100=[52.5, 41.8, 53.5, 52.8],
            tinyimagenet=[39.7, 32.1, 39.2, 39.7]),
        'Defense': dict(
            cifar10=[39.9, 40.0, 43.1, 44.4],
            cifar100=[31.1, 31.0, 32.0, 32.1],
            tinyimagenet=[20.4, 22.6, 21.5, 22.3]),
        'SR': dict(
            cifar10=[48.0, 47.4, 47.9, 48.0],
            cifar100=[33.5, 33.1, 34.5, 34.5],
            tinyimagenet=[31.1, 29.7, 32.5, 33.2]),
        'Ours': dict(
            cifar10=[90.7, 85.1, 90.3, 90.6],
            cifar100=[68.7, 51.6, 66.9, 67.7],
            tinyimagenet=[62.9, 34.6, 59.1, 62.1]),
    })
