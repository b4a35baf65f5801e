# What a detector's config gets that names SuperResolutionPurifier and nothing else: the same, on the images of its data.
_base_ = './super_resolution_default_cls.py'
