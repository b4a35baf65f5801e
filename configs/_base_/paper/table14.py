# Align (arXiv 2212.05387), Table XIV.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table XIV, {title}',
    rows={
        'No Defense': dict(
            cifar10=[95.1, 1.6, 3.8, 5.1],
            cifar100=[78.1, 7.1, 7.7, 9.1],
            tinyimagenet=[64.5, 17.3, 17.7, 19.6]),
        'No Defense (finetune)': dict(
            cifar10=[95.6, 3.1, 4.8, 6.5],
            cifar100=[79.5, 7.6, 8.0, 9.4],
            tinyimagenet=[63.9, 20.6, 21.1, 21.7]),
        'TRADES': dict(
            cifar10=[87.3, 76.3, 85.4, 85.7],
            cifar100=[62.8, 51.2, 60.4, 60.1],
            tinyimagenet=[58.5, 42.7, 55.6, 55.9]),
        'TRADES (finetune)': dict(
            cifar10=[85.4, 75.0, 83.1, 83.8],
            cifar100=[78.1, 51.0, 52.7, 43.6],
            tinyimagenet=[43.3, 40.1, 41.7, 42.0]),
        'Free-adv': dict(
            cifar10=[77.1, 70.2, 72.6, 74.3],
            cifar100=[49.2, 43.8, 45.8, 46.8],
            tinyimagenet=[55.5, 43.2, 53.5, 53.8]),
        'Free-adv (finetune)': dict(
            cifar10=[88.5, 77.6, 86.3, 87.6],
            cifar100=[63.7, 52.6, 61.5, 61.9],
            tinyimagenet=[42.2, 40.5, 46.0, 46.3]),
        'Defense': dict(
            cifar10=[39.9, 36.2, 36.5, 37.0],
            cifar100=[31.1, 28.4, 28.8, 30.3],
            tinyimagenet=[20.4, 16.3, 17.4, 17.8]),
        'SR': dict(
            cifar10=[48.0, 45.8, 47.7, 47.5],
            cifar100=[33.6, 31.8, 32.1, 32.5],
            tinyimagenet=[31.1, 29.4, 29.7, 30.0]),
        'FPD': dict(
            cifar10=[48.5, 45.7, 47.2, 47.8],
            cifar100=[52.5, 40.3, 41.0, 41.4],
            tinyimagenet=[39.7, 32.7, 37.1, 38.1]),
        'APE': dict(
            cifar10=[90.2, 40.5, 88.4, 89.2],
            cifar100=[73.2, 35.5, 63.6, 66.2],
            tinyimagenet=[62.4, 29.9, 60.3, 60.7]),
        'Denoise': dict(
            cifar10=[89.8, 78.4, 88.6, 89.1],
            cifar100=[67.2, 51.7, 65.2, 65.7],
            tinyimagenet=[59.8, 44.6, 56.8, 57.2]),
        'NRP': dict(
            cifar10=[91.8, 76.7, 87.9, 88.4],
            cifar100=[70.3, 50.2, 65.4, 66.0],
            tinyimagenet=[59.1, 43.0, 56.6, 57.5]),
        'Ours': dict(
            cifar10=[90.7, 80.1, 88.8, 89.7],
            cifar100=[68.7, 53.1, 66.3, 66.7],
            tinyimagenet=[62.9, 44.8, 61.2, 62.4]),
    })
