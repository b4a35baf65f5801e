# Align, version of ICLR 2021, Table 8.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 8, {title}',
    rows={
        'No Defense': dict(
            cifar10=[94.3, 0.0, 0.0, 0.0],
            cifar100=[76.1, 0.1, 0.1, 0.2],
            tinyimagenet=[62.1, 0.2, 0.1, 0.2]),
        'No Defense (finetune)': dict(
            cifar10=[94.7, 0.0, 0.0, 0.0],
            cifar100=[77.8, 0.0, 0.2, 0.3],
            tinyimagenet=[61.3, 0.1, 0.3, 0.4]),
        'TRADES': dict(
            cifar10=[85.3, 51.7, 47.1, 83.2],
            cifar100=[59.8, 26.7, 21.2, 56.6],
            tinyimagenet=[44.3, 19.3, 16.1, 43.6]),
        'TRADES (finetune)': dict(
            cifar10=[83.2, 52.6, 53.9, 82.4],
            cifar100=[56.3, 28.5, 26.7, 55.4],
            tinyimagenet=[43.3, 16.5, 15.0, 42.3]),
        'Free-adv': dict(
            cifar10=[86.3, 46.2, 48.1, 85.5],
            cifar100=[64.0, 24.7, 24.2, 47.6],
            tinyimagenet=[53.4, 18.8, 17.3, 52.6]),
        'Free-adv (finetune)': dict(
            cifar10=[88.3, 43.5, 49.2, 87.1],
            cifar100=[63.4, 20.6, 30.1, 61.8],
            tinyimagenet=[39.9, 6.5, 7.1, 39.5]),
        'Quilting': dict(
            cifar10=[86.3, 81.9, 82.5, 82.1],
            cifar100=[63.3, 41.3, 42.6, 40.9],
            tinyimagenet=[56.2, 23.8, 24.1, 24.2]),
        'Quilting + TVM': dict(
            cifar10=[88.4, 80.1, 83.3, 82.6],
            cifar100=[65.5, 42.5, 44.2, 42.1],
            tinyimagenet=[54.1, 25.1, 25.8, 26.1]),
        'JPEG': dict(
            cifar10=[88.0, 36.6, 64.3, 82.7],
            cifar100=[66.3, 20.6, 36.5, 40.8],
            tinyimagenet=[55.2, 11.6, 20.0, 24.9]),
        'Randomization': dict(
            cifar10=[87.5, 55.2, 74.3, 75.5],
            cifar100=[65.0, 34.3, 40.5, 41.5],
            tinyimagenet=[56.3, 20.0, 25.8, 26.1]),
        'NRP': dict(
            cifar10=[90.3, 80.5, 87.0, 87.3],
            cifar100=[66.7, 47.2, 65.5, 66.5],
            tinyimagenet=[56.5, 31.7, 56.2, 56.8]),
        'Denoise': dict(
            cifar10=[88.3, 79.0, 87.1, 87.2],
            cifar100=[66.7, 46.8, 64.7, 64.9],
            tinyimagenet=[56.6, 32.8, 57.8, 57.3]),
        'APE': dict(
            cifar10=[89.1, 12.2, 80.1, 81.3],
            cifar100=[71.7, 17.4, 60.2, 61.4],
            tinyimagenet=[60.2, 0.96, 56.5, 59.3]),
        'FPD': dict(
            cifar10=[53.0, 52.4, 53.0, 53.0],
            cifar100=[50.0, 43.6, 49.2, 49.8],
            tinyimagenet=[34.5, 27.8, 33.7, 34.4]),
        'Defense': dict(
            cifar10=[40.1, 40.0, 40.2, 40.1],
            cifar100=[31.1, 31.1, 33.3, 32.6],
            tinyimagenet=[21.5, 20.7, 23.1, 22.9]),
        'SR': dict(
            cifar10=[45.3, 44.8, 45.2, 45.3],
            cifar100=[35.6, 34.8, 35.5, 34.5],
            tinyimagenet=[30.6, 29.4, 34.6, 34.2]),
        'Ours': dict(
            cifar10=[90.0, 82.7, 89.1, 89.5],
            cifar100=[67.3, 55.5, 66.6, 67.3],
            tinyimagenet=[61.0, 33.7, 57.6, 60.2]),
    })
