# Align, version of ICLR 2021, Table 2.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 2, {title}',
    rows={
        'No Defense': dict(
            cityscapes=[73.5, 3.7, 37.4, 6.6],
            voc2012=[76.4, 8.2, 41.5, 2.6],
            voc0712=[72.5, 5.4, 2.8, 1.1]),
        'L_I': dict(
            cityscapes=[61.5, 50.3, 51.6, 55.9],
            voc2012=[73.1, 48.8, 60.5, 67.7],
            voc0712=[63.4, 37.4, 48.4, 38.3]),
        'L_F (w/o c)': dict(
            cityscapes=[60.4, 57.5, 59.6, 62.6],
            voc2012=[47.4, 48.2, 53.3, 57.3],
            voc0712=[34.5, 33.1, 33.4, 33.0]),
        'L_I+F (w/o c)': dict(
            cityscapes=[64.9, 56.5, 59.7, 63.3],
            voc2012=[70.3, 60.1, 63.4, 67.2],
            voc0712=[58.7, 41.6, 50.4, 42.3]),
        'L_T': dict(
            cityscapes=[63.8, 43.6, 50.5, 53.4],
            voc2012=[74.1, 34.8, 51.9, 55.6],
            voc0712=[65.1, 26.9, 38.9, 27.8]),
        'L_T+F (w/o c)': dict(
            cityscapes=[65.0, 53.2, 57.5, 61.5],
            voc2012=[71.2, 56.8, 62.9, 66.6],
            voc0712=[60.0, 32.4, 44.7, 33.7]),
        'Full': dict(
            cityscapes=[67.6, 58.5, 60.9, 64.4],
            voc2012=[71.2, 61.3, 64.5, 68.7],
            voc0712=[60.5, 44.0, 52.0, 44.7]),
    })
