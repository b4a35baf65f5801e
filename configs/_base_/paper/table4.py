# Align (arXiv 2212.05387), Table IV.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table IV, {title}',
    rows={
        'No Defense': dict(
            cityscapes=[73.2, 3.8, 32.3, 13.5],
            voc2012=[76.9, 11.8, 49.0, 20.2],
            voc0712=[80.6, 16.9, 15.6, 15.9]),
        'No Defense (finetune)': dict(
            cityscapes=[73.5, 3.9, 33.1, 13.3],
            voc2012=[75.7, 11.7, 49.8, 18.4],
            voc0712=[80.8, 17.2, 15.8, 16.3]),
        'SAT': dict(cityscapes=[64.3, 49.2, 50.7, 49.9], voc2012=[72.8, 56.2, 65.3, 68.6]),
        'SAT (finetune)': dict(cityscapes=[65.4, 42.5, 48.5, 42.8], voc2012=[74.8, 60.1, 64.1, 69.9]),
        'DDC-AT': dict(cityscapes=[67.7, 50.3, 52.9, 50.8], voc2012=[74.2, 61.5, 66.7, 69.9]),
        'DDC-AT (finetune)': dict(cityscapes=[68.2, 43.3, 50.1, 43.6], voc2012=[76.2, 63.4, 65.4, 70.2]),
        'CLS': dict(voc0712=[52.0, 39.6, 48.8, 49.1]),
        'LOC': dict(voc0712=[57.6, 41.7, 42.8, 44.4]),
        'CON': dict(voc0712=[43.5, 35.3, 43.8, 44.1]),
        'MTD': dict(voc0712=[53.7, 47.1, 48.3, 48.9]),
        'Defense': dict(
            cityscapes=[23.3, 21.2, 20.4, 22.9],
            voc2012=[22.5, 20.7, 22.0, 22.4],
            voc0712=[42.2, 37.8, 38.2, 37.1]),
        'SR': dict(
            cityscapes=[62.8, 51.6, 50.6, 52.8],
            voc2012=[70.1, 60.5, 64.0, 68.6],
            voc0712=[56.2, 38.6, 39.3, 36.2]),
        'FPD': dict(
            cityscapes=[49.5, 49.6, 50.0, 50.8],
            voc2012=[62.1, 59.7, 60.8, 61.7],
            voc0712=[58.7, 59.3, 57.3, 59.2]),
        'APE': dict(
            cityscapes=[54.2, 27.2, 22.7, 35.6],
            voc2012=[75.5, 40.8, 57.6, 63.4],
            voc0712=[68.5, 60.0, 61.3, 58.8]),
        'Denoise': dict(
            cityscapes=[64.6, 58.5, 55.0, 64.0],
            voc2012=[67.2, 63.4, 64.7, 68.8],
            voc0712=[68.5, 59.3, 57.9, 58.4]),
        'NRP': dict(
            cityscapes=[65.6, 58.0, 50.7, 64.1],
            voc2012=[68.1, 64.7, 62.8, 69.2],
            voc0712=[68.5, 67.2, 63.5, 67.2]),
        'Ours': dict(
            cityscapes=[67.3, 60.3, 62.7, 64.9],
            voc2012=[69.1, 65.2, 66.9, 70.7],
            voc0712=[70.2, 70.0, 68.1, 70.0]),
    })
