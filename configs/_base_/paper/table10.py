# Align (arXiv 2212.05387), Table X.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table X, {title}',
    rows={
        'Full-abla-pixel-I': dict(
            cifar10=[89.7, 77.3, 87.3, 88.0],
            cifar100=[67.6, 50.7, 64.4, 65.2],
            tinyimagenet=[63.4, 45.1, 59.4, 60.3],
            cityscapes=[64.7, 55.4, 57.0, 60.5],
            voc2012=[71.4, 58.3, 63.2, 67.6],
            voc0712=[59.2, 58.7, 54.4, 57.2]),
        'Full-abla-pixel-II': dict(
            cifar10=[89.4, 76.7, 86.8, 87.3],
            cifar100=[67.9, 51.2, 65.0, 65.4],
            tinyimagenet=[63.2, 44.9, 60.3, 61.4],
            cityscapes=[64.0, 55.1, 56.8, 58.7],
            voc2012=[70.8, 57.1, 62.8, 66.5],
            voc0712=[59.5, 59.0, 55.1, 56.4]),
        'Full-abla-feature-I': dict(
            cifar10=[90.6, 79.2, 85.9, 86.2],
            cifar100=[68.8, 53.5, 67.1, 67.6],
            tinyimagenet=[62.7, 46.0, 60.1, 61.2],
            cityscapes=[66.1, 58.2, 59.4, 61.6],
            voc2012=[72.0, 61.2, 64.1, 68.3],
            voc0712=[60.7, 60.6, 57.5, 60.1]),
        'Full-abla-feature-II': dict(
            cifar10=[90.5, 80.5, 89.1, 89.5],
            cifar100=[68.0, 52.6, 66.3, 68.0],
            tinyimagenet=[62.1, 45.7, 58.6, 59.7],
            cityscapes=[65.6, 57.9, 58.5, 59.2],
            voc2012=[72.2, 60.5, 63.7, 67.8],
            voc0712=[60.4, 59.3, 56.8, 59.5]),
        'deleting 1-st layer': dict(
            cifar10=[89.2, 80.1, 88.3, 88.7],
            cifar100=[67.3, 52.8, 66.2, 67.5],
            tinyimagenet=[61.4, 45.2, 60.8, 62.1],
            cityscapes=[67.0, 58.4, 61.2, 63.8],
            voc2012=[70.4, 62.7, 65.2, 68.4],
            voc0712=[60.1, 60.4, 57.2, 60.3]),
        'deleting 2-nd layer': dict(
            cifar10=[90.1, 79.6, 87.5, 88.0],
            cifar100=[66.8, 50.3, 64.8, 64.2],
            tinyimagenet=[62.1, 44.5, 60.2, 61.5],
            cityscapes=[66.3, 57.5, 60.8, 63.2],
            voc2012=[70.8, 61.8, 64.3, 67.5],
            voc0712=[60.8, 58.8, 55.6, 59.4]),
        'deleting 3-rd layer': dict(
            cifar10=[88.3, 79.1, 87.0, 86.8],
            cifar100=[66.2, 53.1, 64.0, 65.1],
            tinyimagenet=[61.8, 43.2, 58.7, 60.3],
            cityscapes=[67.1, 57.0, 61.7, 62.7],
            voc2012=[71.6, 60.4, 63.8, 67.1],
            voc0712=[59.7, 58.1, 56.2, 58.8]),
        'deleting 4-th layer': dict(
            cifar10=[87.8, 77.3, 85.3, 85.6],
            cifar100=[65.7, 51.8, 62.8, 63.7],
            tinyimagenet=[60.4, 43.8, 58.0, 60.6],
            cityscapes=[65.8, 55.8, 59.4, 60.3],
            voc2012=[71.4, 60.1, 61.5, 65.6],
            voc0712=[59.2, 56.5, 54.7, 56.2]),
        'deleting 5-th layer': dict(
            cifar10=[89.5, 78.9, 86.2, 87.2],
            cifar100=[67.1, 52.5, 63.7, 64.9],
            tinyimagenet=[62.3, 44.9, 59.3, 59.8],
            cityscapes=[66.7, 56.3, 60.5, 61.9],
            voc2012=[70.1, 61.3, 63.1, 64.9],
            voc0712=[60.3, 57.0, 55.0, 57.6]),
        'Full': dict(
            cifar10=[90.7, 81.4, 90.4, 90.6],
            cifar100=[68.7, 54.0, 67.5, 68.4],
            tinyimagenet=[62.9, 46.4, 62.2, 63.2],
            cityscapes=[67.6, 59.5, 62.0, 64.7],
            voc2012=[71.2, 63.6, 66.0, 69.5],
            voc0712=[60.5, 61.2, 58.3, 60.9]),
    })
