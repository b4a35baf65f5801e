# Align (arXiv 2212.05387), Table III.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table III, {title}',
    rows={
        'No Defense': dict(
            cifar10=[94.3, 8.2, 4.3, 5.8],
            cifar100=[76.1, 17.3, 18.3, 16.6],
            tinyimagenet=[62.1, 22.7, 21.7, 22.2]),
        'No Defense (finetune)': dict(
            cifar10=[94.7, 8.1, 6.6, 7.5],
            cifar100=[77.8, 16.6, 18.3, 16.6],
            tinyimagenet=[61.3, 22.7, 25.8, 26.1]),
        'TRADES': dict(
            cifar10=[85.3, 82.3, 85.1, 85.2],
            cifar100=[59.8, 57.3, 59.7, 59.8],
            tinyimagenet=[44.3, 43.0, 44.3, 44.3]),
        'TRADES (finetune)': dict(
            cifar10=[83.2, 82.0, 83.1, 83.2],
            cifar100=[56.3, 55.2, 56.3, 56.3],
            tinyimagenet=[43.3, 42.4, 43.3, 43.3]),
        'Free-adv': dict(
            cifar10=[86.3, 81.6, 86.2, 86.3],
            cifar100=[64.0, 55.8, 63.9, 64.0],
            tinyimagenet=[53.4, 41.6, 53.3, 53.4]),
        'Free-adv (finetune)': dict(
            cifar10=[88.3, 82.9, 88.2, 88.3],
            cifar100=[63.4, 55.2, 63.3, 63.4],
            tinyimagenet=[39.9, 38.5, 39.7, 39.8]),
        'Defense': dict(
            cifar10=[40.1, 38.8, 39.7, 39.8],
            cifar100=[31.1, 30.2, 30.5, 30.9],
            tinyimagenet=[21.5, 19.9, 20.3, 21.0]),
        'SR': dict(
            cifar10=[45.3, 45.1, 45.3, 45.3],
            cifar100=[35.6, 35.3, 35.9, 36.3],
            tinyimagenet=[30.6, 29.5, 30.0, 30.1]),
        'FPD': dict(
            cifar10=[53.0, 52.7, 52.9, 53.0],
            cifar100=[50.0, 46.8, 49.7, 50.0],
            tinyimagenet=[34.5, 31.7, 34.2, 34.4]),
        'APE': dict(
            cifar10=[89.1, 64.9, 88.9, 89.6],
            cifar100=[71.7, 51.6, 66.4, 67.2],
            tinyimagenet=[60.2, 35.1, 59.0, 59.1]),
        'Denoise': dict(
            cifar10=[88.3, 80.7, 87.9, 88.2],
            cifar100=[66.7, 56.3, 65.3, 65.5],
            tinyimagenet=[56.6, 42.3, 56.5, 56.7]),
        'NRP': dict(
            cifar10=[90.3, 80.9, 88.1, 88.3],
            cifar100=[66.7, 56.6, 66.2, 66.6],
            tinyimagenet=[56.5, 43.3, 56.1, 56.5]),
        'Ours': dict(
            cifar10=[90.0, 84.0, 89.8, 90.2],
            cifar100=[67.3, 57.7, 67.5, 68.1],
            tinyimagenet=[61.0, 43.1, 59.9, 60.8]),
    })
