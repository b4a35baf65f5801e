# Align (arXiv 2212.05387), Table VIII.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table VIII, {title}',
    rows={
        'No Defense': dict(
            cifar10=[95.1, 2.1, 5.3, 6.4],
            cifar100=[78.1, 7.5, 9.3, 10.4],
            tinyimagenet=[64.5, 19.2, 20.4, 21.2],
            cityscapes=[73.5, 3.6, 38.6, 12.5],
            voc2012=[76.4, 11.1, 46.1, 16.6],
            voc0712=[72.5, 17.9, 14.5, 15.0]),
        'L_I': dict(
            cifar10=[90.4, 66.4, 85.3, 86.1],
            cifar100=[67.9, 46.4, 66.6, 67.5],
            tinyimagenet=[63.4, 34.3, 60.7, 61.7],
            cityscapes=[61.5, 50.8, 52.4, 56.1],
            voc2012=[73.1, 59.8, 63.0, 68.3],
            voc0712=[63.4, 59.4, 54.4, 58.2]),
        'L_I+F (w/o c)': dict(
            cifar10=[90.7, 78.2, 89.0, 89.5],
            cifar100=[68.1, 53.4, 67.0, 67.8],
            tinyimagenet=[63.2, 46.1, 61.5, 62.4],
            cityscapes=[64.9, 58.7, 60.7, 63.4],
            voc2012=[70.3, 62.9, 64.7, 68.6],
            voc0712=[58.7, 60.7, 57.4, 60.1]),
        'L_T': dict(
            cifar10=[92.9, 49.5, 84.4, 85.5],
            cifar100=[71.2, 39.3, 65.1, 66.6],
            tinyimagenet=[63.4, 32.0, 58.3, 59.2],
            cityscapes=[63.8, 46.3, 50.9, 54.6],
            voc2012=[74.1, 45.0, 57.2, 63.1],
            voc0712=[65.1, 58.3, 53.7, 56.3]),
        'L_T+F (w/o c)': dict(
            cifar10=[92.5, 74.1, 87.6, 88.3],
            cifar100=[70.3, 50.4, 65.9, 66.8],
            tinyimagenet=[63.2, 44.4, 60.2, 61.1],
            cityscapes=[65.0, 55.6, 59.1, 61.3],
            voc2012=[71.0, 61.3, 62.4, 66.1],
            voc0712=[60.0, 59.6, 55.0, 58.2]),
        'Full': dict(
            cifar10=[90.7, 81.4, 90.4, 90.6],
            cifar100=[68.7, 54.0, 67.5, 68.4],
            tinyimagenet=[62.9, 46.4, 62.2, 63.2],
            cityscapes=[67.6, 59.5, 62.0, 64.7],
            voc2012=[71.2, 63.6, 66.0, 69.5],
            voc0712=[60.5, 61.2, 58.3, 60.9]),
    })
