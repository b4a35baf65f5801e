# Align (arXiv 2212.05387), Table XI.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table XI, {title}',
    rows={
        'lambda 1 to 4 x 0.1': dict(
            cifar10=[86.6, 78.2, 87.7, 88.2],
            cifar100=[66.4, 51.2, 65.3, 64.2],
            tinyimagenet=[60.3, 43.8, 59.4, 60.1],
            cityscapes=[63.5, 56.3, 58.4, 60.4],
            voc2012=[69.3, 61.4, 62.6, 67.8],
            voc0712=[56.6, 57.7, 54.1, 57.2]),
        'lambda 1 to 4 x 10': dict(
            cifar10=[85.3, 77.5, 86.9, 87.4],
            cifar100=[65.8, 53.0, 66.1, 66.7],
            tinyimagenet=[61.2, 44.1, 60.5, 61.4],
            cityscapes=[64.7, 54.7, 60.8, 63.6],
            voc2012=[67.1, 60.7, 61.5, 65.1],
            voc0712=[57.9, 58.3, 57.0, 58.1]),
        'original (lambda 1 to 4)': dict(
            cifar10=[90.7, 81.4, 90.4, 90.6],
            cifar100=[68.7, 54.0, 67.5, 68.4],
            tinyimagenet=[62.9, 46.4, 62.2, 63.2],
            cityscapes=[67.6, 59.5, 62.0, 64.7],
            voc2012=[71.2, 63.6, 66.0, 69.5],
            voc0712=[60.5, 61.2, 58.3, 60.9]),
    })
