"""The statistics of randomized smoothing: bounds, radii and tests, all of them exact."""

from __future__ import annotations

import numpy as np

from ...errors import UsageError


def check_alpha(alpha: float) -> None:
    """Raise a ``UsageError`` unless ``alpha``, the probability that a certificate is wrong, is between 0 and 1."""
    if not 0 < alpha < 1:
        raise UsageError(
            f'alpha is the probability that a certificate is wrong, such as 0.001, and must be above 0 and below 1; '
            f'got {alpha!r}'
        )


def check_draws(n0: int, n: int) -> None:
    """Raise a ``UsageError`` unless ``1 <= n0 <= n``."""
    if not 1 <= n0 <= n:
        raise UsageError(
            f'n0 noisy copies choose the class and n estimate its probability, so 1 <= n0 <= n; got n0={n0}, n={n}'
        )


def lower_bound(successes: int, n: int, alpha: float) -> float:
    """The one-sided lower bound of Clopper and Pearson on a probability, at confidence ``1 - alpha``.

    It is 0 without a success, and ``alpha ** (1 / n)`` if all of ``n`` trials are successes.
    """
    from scipy.stats import beta

    return float(beta.ppf(alpha, successes, n - successes + 1)) if successes else 0.0


def certified_radius(sigma: float, probability: float) -> float:
    """``sigma * Phi^-1(p)``: the L2 radius in which a class with probability ``p`` under noise stays the likeliest.

    Cohen, Rosenfeld and Kolter, "Certified Adversarial Robustness via Randomized Smoothing" (ICML 2019), theorem 1 with
    ``1 - p`` as the bound on all other classes.

    Args:
        sigma: of the noise, in the unit that the radius is wanted in.
        probability: a lower bound above 1/2.
    """
    from scipy.stats import norm

    return float(sigma * norm.ppf(probability))


def tie_p_value(first: int, second: int) -> float:
    """How likely votes for the two most frequent classes that differ this much are if both classes are equally likely.

    The two-sided binomial test of PREDICT in Cohen et al. (2019), due to Hung and Fithian.
    """
    from scipy.stats import binomtest

    return float(binomtest(first, first + second, 0.5).pvalue) if first + second else 1.0


def exceeds_p_values(n: int, tau: float) -> np.ndarray:
    """For 0 to ``n`` successes, how likely at least as many are if the probability is at most ``tau``, ``(n + 1,)``."""
    from scipy.stats import binom

    return np.asarray(binom.sf(np.arange(n + 1) - 1, n, tau))


def holm(p_values: np.ndarray, alpha: float) -> np.ndarray:
    """Which of several hypotheses are rejected by Holm's method, bool, in the shape of ``p_values``.

    The probability that any true one is among them is at most ``alpha``, however they depend on each other (Holm,
    "A Simple Sequentially Rejective Multiple Test Procedure", 1979).
    """
    flat = np.ravel(p_values)
    order = np.argsort(flat, kind='stable')
    within = flat[order] <= alpha / np.arange(len(flat), 0, -1)
    # Up to the first that is not.
    rejected = np.zeros(len(flat), dtype=bool)
    rejected[order] = np.logical_and.accumulate(within)
    return rejected.reshape(np.shape(p_values))
