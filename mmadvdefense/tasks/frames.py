"""Which frame a pipeline leaves its annotations in."""

from __future__ import annotations

# Transforms that change where a pixel lies.
_GEOMETRIC = ('Resize', 'Crop', 'Affine', 'Expand', 'Flip', 'Rotate')


def annotations_in_input_frame(dataset) -> bool:
    """Whether a data set's pipeline moves the annotations together with the image.

    Test pipelines of MMDetection and MMSegmentation load them after ``Resize``, so they stay in the frame of the file
    while the input is resized; training pipelines load them before.
    """
    while not hasattr(dataset, 'pipeline'):
        # Wrappers (repeat, concatenation, class balance) hold the data set that has one.
        inner = getattr(dataset, 'dataset', None) or (getattr(dataset, 'datasets', None) or [None])[0]
        if inner is None:
            return True
        dataset = inner
    names = [type(transform).__name__ for transform in getattr(dataset.pipeline, 'transforms', [])]
    loads = [
        index for index, name in enumerate(names) if 'LoadAnnotations' in name or 'LoadPanopticAnnotations' in name
    ]
    moves = [index for index, name in enumerate(names) if any(word in name for word in _GEOMETRIC)]
    return not loads or not moves or loads[-1] < moves[0]
