_base_ = './default_runtime.py'

default_scope = 'mmseg'
# MMSegmentation has no Gaussian blur for photographs.
custom_imports = dict(imports=['mmadvdefense', 'mmpretrain.datasets.transforms'], allow_failed_imports=False)
default_hooks = dict(visualization=dict(_delete_=True, type='SegVisualizationHook'))
visualizer = dict(type='SegLocalVisualizer', name='visualizer')
