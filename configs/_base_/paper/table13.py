# Align (arXiv 2212.05387), Table XIII.
threat_models = [
    dict(name='transfer', source=dict(config='configs/target/{source}.py', checkpoint='checkpoints/{source}.pth'))]
published = dict(
    title='Align (arXiv 2212.05387), Table XIII, {title}',
    columns=['BIM', 'DeepFool', 'C&W'],
    rows={
        'No Defense': dict(cityscapes=[3.8, 32.3, 13.5], voc2012=[11.8, 49.0, 20.2]),
        'L_I': dict(cityscapes=[48.5, 49.9, 55.0], voc2012=[54.9, 59.8, 68.0]),
        'L_I+F (w/o c)': dict(cityscapes=[57.8, 60.3, 62.2], voc2012=[59.9, 63.2, 68.2]),
        'L_T': dict(cityscapes=[43.0, 48.9, 53.7], voc2012=[33.2, 49.9, 53.7]),
        'L_T+F (w/o c)': dict(cityscapes=[53.8, 58.6, 60.0], voc2012=[55.1, 60.3, 65.8]),
        'Defense': dict(cityscapes=[20.1, 19.7, 20.7], voc2012=[21.6, 21.2, 23.1]),
        'SR': dict(cityscapes=[41.6, 40.5, 42.5], voc2012=[52.1, 56.9, 66.8]),
        'FPD': dict(cityscapes=[51.5, 51.7, 53.6], voc2012=[56.7, 57.3, 60.5]),
        'APE': dict(cityscapes=[28.5, 26.8, 40.0], voc2012=[25.7, 46.9, 44.5]),
        'Denoise': dict(cityscapes=[52.7, 51.1, 63.4], voc2012=[60.1, 53.7, 67.2]),
        'NRP': dict(cityscapes=[53.4, 47.8, 63.0], voc2012=[53.1, 51.2, 67.4]),
        'Ours': dict(cityscapes=[59.0, 61.7, 64.3], voc2012=[60.5, 64.6, 68.9]),
    })
