# Align (arXiv 2212.05387), Table XII.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table XII, {title}',
    columns=['PGD', 'DeepFool', 'C&W'],
    rows={
        'No Defense': dict(cifar10=[8.2, 4.3, 5.8], cifar100=[17.3, 18.3, 16.6]),
        'L_I': dict(cifar10=[44.5, 84.6, 85.7], cifar100=[29.6, 63.4, 64.2]),
        'L_I+F (w/o c)': dict(cifar10=[67.1, 88.2, 88.6], cifar100=[40.1, 64.1, 65.5]),
        'L_T': dict(cifar10=[18.1, 84.0, 84.7], cifar100=[14.9, 62.6, 63.4]),
        'L_T+F (w/o c)': dict(cifar10=[59.9, 87.0, 87.2], cifar100=[36.6, 63.2, 65.2]),
        'Defense': dict(cifar10=[38.5, 37.8, 38.9], cifar100=[21.5, 22.8, 22.5]),
        'SR': dict(cifar10=[44.8, 45.2, 45.3], cifar100=[24.8, 25.5, 25.1]),
        'FPD': dict(cifar10=[44.2, 44.0, 44.4], cifar100=[30.5, 31.1, 31.2]),
        'APE': dict(cifar10=[10.1, 86.2, 86.4], cifar100=[11.4, 64.8, 65.4]),
        'Denoise': dict(cifar10=[73.0, 87.7, 87.1], cifar100=[35.7, 63.7, 64.2]),
        'NRP': dict(cifar10=[60.4, 87.3, 88.0], cifar100=[36.2, 63.5, 64.6]),
        'Ours': dict(cifar10=[73.3, 88.4, 89.1], cifar100=[42.0, 64.9, 65.8]),
    })
