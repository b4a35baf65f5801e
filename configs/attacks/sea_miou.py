# SEA: of each image the loss that lowers the mIoU of the data set most. worst_by='accuracy' is its other number.
attack = dict(type='EachPart', attack=dict(type='SEA', eps=8, steps=300), worst_by='miou')
