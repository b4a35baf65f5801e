# Align (arXiv 2212.05387), Table V.
vgg = dict(
    config='configs/target/vgg16_imagenet.py',
    checkpoint='checkpoints/vgg16_imagenet.pth',
    obtain='save https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth there')
threat_models = [
    dict(name='transfer', source=vgg, attacks=['SSP']),
    dict(
        name='transfer',
        source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'),
        attacks=['FDA', 'TAP', 'MI', 'Auto', 'CuWh', 'DIM', 'DR']),
    dict(name='query', attacks=['Square', 'SquareCE', 'PPDA', 'GeoDA', 'SF']),
]
published = dict(
    title='Align (arXiv 2212.05387), Table V, {title}',
    rows={
        'Denoise': dict(
            cifar10=[60.2, 65.6, 67.1, 71.4, 61.4, 59.6, 58.4, 64.1, 58.2, 59.5, 56.2, 56.9],
            cifar100=[40.8, 46.3, 46.7, 48.3, 43.2, 40.6, 38.8, 40.5, 35.1, 36.9, 33.7, 36.1],
            tinyimagenet=[34.5, 40.9, 38.5, 41.2, 34.2, 31.8, 31.7, 36.2, 32.9, 35.0, 31.0, 34.7]),
        'NRP': dict(
            cifar10=[62.0, 66.2, 69.2, 71.9, 62.3, 61.1, 60.7, 65.3, 59.7, 60.3, 57.7, 58.4],
            cifar100=[41.7, 45.8, 45.9, 46.3, 42.1, 39.1, 40.2, 42.3, 38.8, 40.4, 36.9, 39.2],
            tinyimagenet=[35.5, 39.1, 37.2, 40.6, 36.7, 30.5, 32.4, 37.6, 33.4, 34.8, 31.3, 35.1]),
        'Ours': dict(
            cifar10=[64.1, 68.0, 70.1, 73.2, 65.2, 63.3, 62.5, 67.4, 63.4, 64.7, 61.3, 63.9],
            cifar100=[44.9, 47.6, 48.1, 50.3, 45.5, 41.8, 42.2, 46.7, 42.3, 43.5, 40.2, 43.0],
            tinyimagenet=[37.3, 40.6, 41.8, 44.5, 38.8, 33.1, 34.2, 40.2, 34.9, 36.6, 32.8, 35.2]),
    })
