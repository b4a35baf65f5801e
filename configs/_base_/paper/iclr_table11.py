# Align, version of ICLR 2021, Table 11.
threat_models = ['gray-box']
published = dict(
    title='Align, version of ICLR 2021, Table 11, {title}',
    rows={
        'No Defense': dict(
            cityscapes=[None, 3.1, 32.4, 8.0],
            voc2012=[None, None, 38.0, None],
            voc0712=[80.6, 4.5, 4.0, 2.0]),
        'Full': dict(
            cityscapes=[67.3, 59.0, 61.7, 64.8],
            voc2012=[69.1, 61.3, 63.9, 68.3],
            voc0712=[70.2, 59.2, 65.0, 60.3]),
        'Full with jpeg': dict(
            cityscapes=[65.7, 57.3, 59.6, 62.3],
            voc2012=[68.2, 60.8, 64.1, 67.1],
            voc0712=[70.2, 59.1, 58.6, 64.2]),
    })
