# Align, version of ICLR 2021, Table 7.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 7, {title}',
    rows={
        'No Defense': dict(
            cityscapes=[None, 3.1, 32.4, None],
            voc2012=[76.9, None, 38.0, 2.9],
            voc0712=[80.6, 4.5, 4.0, 2.0]),
        'L_I': dict(
            cityscapes=[64.0, 50.9, 51.2, 56.9],
            voc2012=[72.6, 54.8, 59.2, 66.5],
            voc0712=[73.2, 53.2, 62.3, 54.2]),
        'L_F (w/o c)': dict(
            cityscapes=[61.5, 59.9, 61.0, 63.9],
            voc2012=[42.7, 42.7, 52.5, 54.5],
            voc0712=[36.5, 35.7, 36.4, 35.9]),
        'L_I+F (w/o c)': dict(
            cityscapes=[65.1, 57.9, 60.1, 63.4],
            voc2012=[68.1, 59.8, 62.3, 67.2],
            voc0712=[68.4, 57.1, 63.2, 58.3]),
        'L_T': dict(
            cityscapes=[64.5, 44.1, 50.4, 54.2],
            voc2012=[74.8, 33.4, 50.4, 53.8],
            voc0712=[75.1, 44.3, 56.2, 45.6]),
        'L_T+F (w/o c)': dict(
            cityscapes=[64.9, 55.1, 57.6, 60.5],
            voc2012=[70.5, 55.9, 61.5, 66.1],
            voc0712=[62.3, 51.0, 56.1, 53.1]),
        'Full': dict(
            cityscapes=[67.3, 59.0, 61.7, 64.8],
            voc2012=[69.1, 61.3, 63.9, 68.3],
            voc0712=[70.2, 59.2, 65.0, 60.3]),
    })
