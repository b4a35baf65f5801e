# Align (arXiv 2212.05387), Table I.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table I, {title}',
    rows={
        'No Defense': dict(
            cifar10=[95.1, 2.1, 5.3, 6.4],
            cifar100=[78.1, 7.5, 9.3, 10.4],
            tinyimagenet=[64.5, 19.2, 20.4, 21.2]),
        'No Defense (finetune)': dict(
            cifar10=[95.6, 3.8, 7.5, 8.7],
            cifar100=[79.5, 8.0, 9.7, 10.9],
            tinyimagenet=[63.9, 22.1, 23.2, 23.6]),
        'TRADES': dict(
            cifar10=[87.3, 79.7, 87.1, 87.2],
            cifar100=[62.8, 53.9, 62.6, 62.7],
            tinyimagenet=[58.5, 45.3, 58.3, 58.5]),
        'TRADES (finetune)': dict(
            cifar10=[85.4, 78.5, 85.3, 85.4],
            cifar100=[78.1, 53.9, 55.8, 44.2],
            tinyimagenet=[43.3, 42.2, 43.2, 43.4]),
        'Free-adv': dict(
            cifar10=[77.1, 73.1, 76.7, 77.0],
            cifar100=[49.2, 46.6, 49.0, 49.2],
            tinyimagenet=[55.5, 45.8, 55.4, 55.5]),
        'Free-adv (finetune)': dict(
            cifar10=[88.5, 79.8, 88.4, 88.5],
            cifar100=[63.7, 54.1, 63.5, 63.7],
            tinyimagenet=[42.2, 40.9, 48.6, 48.7]),
        'Defense': dict(
            cifar10=[39.9, 38.7, 38.1, 39.3],
            cifar100=[31.1, 30.5, 30.9, 31.0],
            tinyimagenet=[20.4, 18.5, 19.7, 19.9]),
        'SR': dict(
            cifar10=[48.0, 47.2, 48.0, 48.1],
            cifar100=[33.6, 33.1, 33.5, 33.8],
            tinyimagenet=[31.1, 30.5, 30.9, 31.2]),
        'FPD': dict(
            cifar10=[48.5, 47.6, 48.4, 48.5],
            cifar100=[52.5, 41.2, 42.4, 42.5],
            tinyimagenet=[39.7, 33.7, 39.5, 39.8]),
        'APE': dict(
            cifar10=[90.2, 41.9, 89.1, 89.8],
            cifar100=[73.2, 37.2, 65.7, 67.7],
            tinyimagenet=[62.4, 30.5, 61.6, 62.3]),
        'Denoise': dict(
            cifar10=[89.8, 80.0, 90.1, 90.0],
            cifar100=[67.2, 53.1, 66.8, 66.1],
            tinyimagenet=[59.8, 45.3, 59.4, 59.9]),
        'NRP': dict(
            cifar10=[91.8, 79.0, 89.2, 89.8],
            cifar100=[70.3, 52.8, 66.6, 67.2],
            tinyimagenet=[59.1, 45.5, 59.0, 59.2]),
        'Ours': dict(
            cifar10=[90.7, 81.4, 90.4, 90.6],
            cifar100=[68.7, 54.0, 67.5, 68.4],
            tinyimagenet=[62.9, 46.4, 62.2, 63.2]),
    })
