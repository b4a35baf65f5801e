# What a segmentation config gets that names SuperResolutionPurifier and nothing else: the same, on the crops of its data.
_base_ = './super_resolution_default_cls.py'
