"""Which part of the task an entry of a detector's losses is about, by its name."""

from __future__ import annotations

import re
from typing import Literal, Optional

# Words in the names of loss entries. Classification comes first: 'loss_center_heatmap' says what is where, not how far.
_CLASSIFICATION = {'cls', 'conf', 'obj', 'objectness', 'heatmap', 'det', 'pos', 'neg', 'bag', 'class', 'ce', 'focal'}
_LOCALISATION = set(
    'bbox box iou giou loc xy wh offset off center centerness dfl l1 pts reg corner shape pull push mask dice'.split()
)


def loss_group(name: str) -> Optional[Literal['cls', 'loc']]:
    """``'cls'`` or ``'loc'`` for the name of a detector's loss entry, None if it is neither."""
    words = set(re.split(r'[._\d]+', name.lower()))
    if words & _CLASSIFICATION:
        return 'cls'
    return 'loc' if words & _LOCALISATION else None
