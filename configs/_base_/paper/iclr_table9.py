# Align, version of ICLR 2021, Table 9.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 9, {title}',
    rows={
        'No Defense': dict(
            cityscapes=[None, 3.1, 32.4, 8.0],
            voc2012=[None, 8.2, 38.0, 2.9],
            voc0712=[80.6, 4.5, 4.0, 2.0]),
        'No Defense (finetune)': dict(
            cityscapes=[73.5, 3.6, 32.3, 8.3],
            voc2012=[75.7, 26.4, 40.4, 2.7],
            voc0712=[80.8, 8.1, 7.6, 5.5]),
        'SAT': dict(cityscapes=[None, 28.9, 50.2, 43.8], voc2012=[None, 44.5, 57.8, 64.9]),
        'SAT (finetune)': dict(cityscapes=[65.4, 23.4, 47.5, 37.1], voc2012=[74.8, 9.3, 61.8, 46.7]),
        'DDC-AT': dict(cityscapes=[67.7, 30.4, 52.9, 45.3], voc2012=[74.2, 46.8, 61.1, 66.8]),
        'DDC-AT (finetune)': dict(cityscapes=[68.2, 25.6, 49.7, 39.3], voc2012=[76.2, 12.5, 63.8, 48.5]),
        'CLS': dict(voc0712=[52.0, 27.2, 37.1, 35.3]),
        'LOC': dict(voc0712=[57.6, 29.2, 31.2, 30.5]),
        'CON': dict(voc0712=[43.5, 22.8, 32.1, 30.4]),
        'MTD': dict(voc0712=[53.7, 34.5, 36.5, 35.1]),
        'NRP': dict(
            cityscapes=[None, 55.1, 47.9, 61.8],
            voc2012=[None, 54.8, 52.6, 66.9],
            voc0712=[68.5, 53.7, 63.9, 55.0]),
        'Denoise': dict(
            cityscapes=[64.6, 56.5, 52.3, 62.0],
            voc2012=[67.2, 58.6, 53.6, 67.6],
            voc0712=[68.5, 51.3, 54.4, 51.7]),
        'APE': dict(
            cityscapes=[54.2, 28.5, 21.2, 33.4],
            voc2012=[75.5, 25.1, 47.0, 41.6],
            voc0712=[72.2, 42.2, 53.9, 43.8]),
        'FPD': dict(
            cityscapes=[49.5, 49.0, 49.7, 50.8],
            voc2012=[62.1, 58.4, 60.0, 61.3],
            voc0712=[58.7, 49.5, 52.2, 50.2]),
        'Defense': dict(
            cityscapes=[23.3, 20.6, 25.3, 26.1],
            voc2012=[22.5, 24.7, 26.5, 27.4],
            voc0712=[42.2, 40.6, 41.4, 40.7]),
        'SR': dict(
            cityscapes=[62.8, 48.2, 50.2, 51.6],
            voc2012=[70.1, 52.2, 57.0, 67.0],
            voc0712=[56.2, 45.8, 47.6, 46.8]),
        'Ours': dict(
            cityscapes=[67.3, 59.0, 61.7, 64.8],
            voc2012=[69.1, 61.3, 63.9, 68.3],
            voc0712=[70.2, 59.2, 65.0, 60.3]),
    })
