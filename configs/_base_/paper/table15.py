# Align (arXiv 2212.05387), Table XV.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table XV, {title}',
    note='CADA is implemented from its description; "+Ours" keeps training attack, batch and cross-entropy',
    rows={
        'No Defense': dict(
            cifar10=[95.1, 2.1, 5.3, 6.4],
            cifar100=[78.1, 7.5, 9.3, 10.4],
            tinyimagenet=[64.5, 19.2, 20.4, 21.2]),
        'No Defense (finetune)': dict(
            cifar10=[95.6, 3.8, 7.5, 8.7],
            cifar100=[79.5, 8.0, 9.7, 10.9],
            tinyimagenet=[63.9, 22.1, 23.2, 23.6]),
        'PCL': dict(
            cifar10=[88.7, 80.3, 87.2, 87.8],
            cifar100=[65.4, 56.2, 64.7, 65.0],
            tinyimagenet=[60.2, 45.8, 59.1, 60.3]),
        'PCL+Ours': dict(
            cifar10=[88.4, 81.0, 88.3, 88.7],
            cifar100=[64.6, 57.1, 65.4, 65.8],
            tinyimagenet=[60.9, 46.2, 60.4, 61.9]),
        'CADA': dict(
            cifar10=[83.8, 74.6, 83.6, 84.3],
            cifar100=[60.8, 52.6, 60.1, 60.9],
            tinyimagenet=[55.7, 42.0, 57.0, 57.8]),
        'CADA+Ours': dict(
            cifar10=[84.2, 75.1, 85.2, 85.7],
            cifar100=[61.3, 53.3, 60.9, 61.7],
            tinyimagenet=[56.2, 43.1, 57.6, 58.4]),
        'ATDA': dict(
            cifar10=[87.5, 78.2, 86.7, 87.0],
            cifar100=[63.5, 55.8, 62.7, 63.2],
            tinyimagenet=[58.0, 43.7, 58.4, 59.1]),
        'ATDA+Ours': dict(
            cifar10=[87.9, 79.5, 87.5, 87.9],
            cifar100=[64.2, 56.4, 63.8, 64.5],
            tinyimagenet=[58.7, 44.5, 59.5, 60.5]),
        'Ours': dict(
            cifar10=[90.7, 81.4, 90.4, 90.6],
            cifar100=[68.7, 54.0, 67.5, 68.4],
            tinyimagenet=[62.9, 46.4, 62.2, 63.2]),
    })
