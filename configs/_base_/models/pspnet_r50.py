# MMSegmentation's PSPNet.
_base_ = 'mmseg::_base_/models/pspnet_r50-d8.py'
