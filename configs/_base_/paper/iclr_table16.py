# Align, version of ICLR 2021, Table 16.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 16, {title}',
    rows={
        'L_I': dict(cityscapes=[None, 48.5, None, 55.0], voc2012=[None, 54.9, 59.8, 68.1]),
        'L_F (w/o c)': dict(cityscapes=[60.4, 57.1, 58.5, 62.9], voc2012=[47.4, 45.0, 45.2, 45.4]),
        'L_I+F (w/o c)': dict(cityscapes=[64.9, 57.8, 61.3, 64.2], voc2012=[70.3, 59.9, 63.2, 68.2]),
        'L_T': dict(cityscapes=[63.8, 43.0, 48.9, 54.7], voc2012=[74.1, 33.2, 49.9, 53.7]),
        'L_T+F (w/o c)': dict(cityscapes=[65.0, 53.8, 59.9, 63.0], voc2012=[71.2, 55.1, 60.3, 66.8]),
        'NRP': dict(cityscapes=[None, 53.4, None, 64.1], voc2012=[None, 53.1, 51.2, 67.4]),
        'Denoise': dict(cityscapes=[64.4, 52.7, 51.1, 64.4], voc2012=[70.4, 60.1, 53.7, 67.8]),
        'APE': dict(cityscapes=[54.5, 28.5, 26.8, 40.0], voc2012=[74.3, 25.7, 46.9, 44.5]),
        'FPD': dict(cityscapes=[55.9, 51.5, 51.7, 53.6], voc2012=[61.5, 57.7, 59.3, 60.6]),
        'Defense': dict(cityscapes=[22.2, 20.1, 19.7, 21.7], voc2012=[23.5, 21.6, 21.2, 23.1]),
        'SR': dict(cityscapes=[60.7, 41.6, 40.5, 42.5], voc2012=[71.1, 52.1, 56.9, 66.8]),
        'Ours': dict(cityscapes=[67.6, 59.0, 61.7, 65.3], voc2012=[71.3, 60.5, 64.6, 68.9]),
    })
