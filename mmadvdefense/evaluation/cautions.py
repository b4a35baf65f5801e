"""Why an attack may be weaker than its numbers suggest."""

from __future__ import annotations

from typing import Any, Iterable, Optional

from ..threats.measurements import SOURCE

# A source whose score is less than this share of the target's does not see the images that it was trained for.
_FAR_BELOW = 0.5


def source_scores(measured: dict[str, Any]) -> dict[str, float]:
    """The scores (per cent) of the models that an attack was crafted on, on the clean images, by their names."""
    return {name[len(SOURCE) :]: value for name, value in measured.items() if name.startswith(SOURCE)}


def cautions(measured: dict[str, Any], images: Optional[int], clean_scores: Iterable[float] = ()) -> list[str]:
    """One line for each reason why an attack may be weaker than it looks; usually there is none.

    Args:
        measured: ``measured`` of a :class:`~mmadvdefense.evaluation.results.Result` of the attack.
        images: how many were attacked.
        clean_scores: mean scores (per cent) of the target on clean images, without and with purifiers.
    """
    lines = []
    count = measured.get('attack/nonfinite_images')
    if count:
        lines.append(
            f'gradients or scores were NaN or infinite on {count:g} of {images} images, and zeros took their place: '
            'these may be less robust than they look'
        )
    best = max(clean_scores, default=0.0)
    for name, score in source_scores(measured).items():
        if score < _FAR_BELOW * best:
            lines.append(
                f'the source {name} scores {score:.1f} % on the clean images, the target {best:.1f} %: it may see '
                'other pixels than it was trained on (channel order, size, range), and attacks crafted on it say little'
            )
    return lines
