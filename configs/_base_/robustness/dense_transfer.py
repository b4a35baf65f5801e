# Which attacks of several steps transfer best between dense models; each config gives them its budget.
attacks = dict(
    BIM=dict(type='BIM'),
    MI=dict(type='MIFGSM'),
    DI=dict(type='DIFGSM', diversity=0.7, diversity_scales=(0.8, 1.0)),
    TI=dict(type='TIFGSM', kernel_size=7))
