# Align (arXiv 2212.05387), Table II.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table II, {title}',
    rows={
        'No Defense': dict(
            cityscapes=[73.5, 3.6, 38.6, 12.5],
            voc2012=[76.4, 11.1, 46.1, 16.6],
            voc0712=[72.5, 17.9, 14.5, 15.0]),
        'No Defense (finetune)': dict(
            cityscapes=[73.3, 3.6, 37.1, 12.5],
            voc2012=[76.3, 11.2, 45.2, 15.4],
            voc0712=[73.6, 19.6, 16.8, 16.1]),
        'SAT': dict(cityscapes=[65.7, 50.5, 52.5, 51.0], voc2012=[73.9, 57.1, 64.3, 69.3]),
        'SAT (finetune)': dict(cityscapes=[66.3, 42.1, 47.7, 42.4], voc2012=[74.2, 60.5, 60.1, 63.4]),
        'DDC-AT': dict(cityscapes=[67.7, 51.4, 54.4, 51.8], voc2012=[75.1, 58.8, 65.1, 69.3]),
        'DDC-AT (finetune)': dict(cityscapes=[68.3, 43.3, 49.4, 43.1], voc2012=[76.0, 62.4, 62.4, 64.8]),
        'CLS': dict(voc0712=[47.8, 34.5, 43.3, 44.1]),
        'LOC': dict(voc0712=[52.9, 36.7, 38.8, 39.9]),
        'CON': dict(voc0712=[40.7, 31.3, 39.5, 40.3]),
        'MTD': dict(voc0712=[49.1, 42.0, 44.3, 44.1]),
        'Defense': dict(
            cityscapes=[22.2, 20.2, 19.9, 21.2],
            voc2012=[23.5, 21.9, 22.6, 23.3],
            voc0712=[34.6, 30.2, 30.8, 29.7]),
        'SR': dict(
            cityscapes=[60.7, 52.0, 50.6, 51.5],
            voc2012=[71.2, 58.1, 60.3, 67.2],
            voc0712=[54.6, 36.2, 37.5, 34.5]),
        'FPD': dict(
            cityscapes=[55.9, 53.0, 53.2, 55.0],
            voc2012=[61.5, 57.5, 58.6, 59.7],
            voc0712=[57.2, 58.1, 55.8, 57.8]),
        'APE': dict(
            cityscapes=[54.5, 34.7, 33.3, 45.4],
            voc2012=[74.3, 37.8, 54.3, 59.9],
            voc0712=[62.3, 57.9, 58.0, 55.8]),
        'Denoise': dict(
            cityscapes=[64.4, 55.1, 53.8, 64.0],
            voc2012=[70.4, 61.9, 61.5, 67.8],
            voc0712=[61.6, 52.2, 50.9, 51.7]),
        'NRP': dict(
            cityscapes=[65.0, 55.2, 49.3, 64.1],
            voc2012=[70.5, 62.6, 59.3, 68.5],
            voc0712=[60.4, 59.9, 55.4, 58.9]),
        'Ours': dict(
            cityscapes=[67.6, 59.5, 62.0, 64.7],
            voc2012=[71.2, 63.6, 66.0, 69.5],
            voc0712=[60.5, 61.2, 58.3, 60.9]),
    })
