"""How much of a difference may be chance: intervals and tests over single images."""

from __future__ import annotations

from typing import Optional, Sequence

import numpy as np

from ..errors import UsageError

CONFIDENCE = 0.95
RESAMPLES = 2000
# Scores drawn at once, 16 bytes each: bounds the memory for data sets of any size. The interval does not depend on it.
_DRAWN = 100_000


def bootstrap_interval(scores: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean by the percentile bootstrap, of 2000 resamples.

    Args:
        scores: one for each image.
        seed: of the resampling: the same scores give the same interval.
    """
    if len(scores) == 1:
        return float(scores[0]), float(scores[0])
    # Takes most of a second to import, in every process that only trains or attacks, too.
    from scipy import stats

    interval = stats.bootstrap(
        (np.asarray(scores, dtype=np.float64),),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, _DRAWN // len(scores)),
        vectorized=True,
        confidence_level=CONFIDENCE,
        method='percentile',
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def paired_t_test(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Optional[float]]:
    """Whether two defenses differ more than chance lets them: Student's t-test of paired samples, two-sided.

    The pairs are the scores of the two defenses on the same attacked image (Align, Table VI, says neither what it pairs
    nor how many of them).

    Args:
        ours: one score for each image.
        theirs: of the same images in the same order.

    Returns:
        ``difference`` (mean, ours minus theirs), ``t``, ``p`` and ``pairs``. Where all images differ alike there is no
        variance: without any difference t is 0 and p is 1, otherwise t is None (infinite) and p is 0.

    Raises:
        UsageError: if the numbers of images differ or there are fewer than two.
    """
    if len(ours) != len(theirs) or len(ours) < 2:
        raise UsageError(f'a paired test needs two scores of each of at least 2 images, got {len(ours)}, {len(theirs)}')
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    if np.ptp(difference) == 0:
        t, p = (None, 0.0) if difference.any() else (0.0, 1.0)
    else:
        from scipy import stats

        t, p = map(float, stats.ttest_rel(ours, theirs))
    return dict(difference=float(difference.mean()), t=t, p=p, pairs=len(ours))


def correct_under_all(correct: Sequence[Sequence[Optional[bool]]]) -> Optional[float]:
    """The share of images that are correct under every attack ("worst case", Xie et al., CVPR 2019).

    Args:
        correct: for each attack, whether each image is correct; images that are None under any attack are left out.

    Returns:
        None if no image is left.
    """
    known = [all(image) for image in zip(*correct) if None not in image]
    return float(np.mean(known)) if known else None


def share_interval(share: float, number: int) -> tuple[float, float]:
    """The 95 % interval of a share of images (Clopper and Pearson, Biometrika 1934).

    Args:
        share: of the images, 0-1.
        number: of images.

    Returns:
        Bounds in 0-1; never empty, also where none or all of the images count.
    """
    from scipy import stats

    interval = stats.binomtest(round(share * number), number).proportion_ci(CONFIDENCE, method='exact')
    return float(interval.low), float(interval.high)
