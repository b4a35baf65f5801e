"""Checks of the options of gradient attacks, whose messages say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Sequence

from ..settings import check_whole_number

if TYPE_CHECKING:
    from .loop import GradientAttack


def step_list(
    name: str, step_size: Optional[float], steps: Optional[int], step_sizes: Optional[Sequence[float]]
) -> tuple[float, ...]:
    """The size of each step, from either way to state it.

    Raises:
        ValueError: for a missing or non-positive value, or both ways at once; it begins with ``name``.
    """
    if step_sizes is not None:
        if step_size is not None or steps is not None:
            raise ValueError(f'{name}: step_sizes takes the place of step_size and steps; leave those out')
        if not step_sizes or not all(size > 0 for size in step_sizes):
            raise ValueError(f'{name}: step_sizes are in pixels (0-255) and must be > 0, got {step_sizes}')
        return tuple(float(size) for size in step_sizes)
    check_whole_number(name, steps=steps)
    if step_size is None or not step_size > 0:
        raise ValueError(f'{name}: step_size is in pixels (0-255) and must be > 0, got {step_size}')
    return (float(step_size),) * int(steps)


def check_options(attack: GradientAttack, draws: bool) -> None:
    """Raise a ``ValueError`` for options out of range, or that would do nothing.

    Args:
        attack: with all its options set.
        draws: whether anything but its target is drawn at random.
    """
    name = type(attack).__name__
    if attack.random_start not in ('uniform', 'normal', None):
        raise ValueError(f"{name}: random_start must be 'uniform', 'normal' or None, got {attack.random_start!r}")
    if attack.kernel_size is not None and (attack.kernel_size < 1 or attack.kernel_size % 2 == 0):
        raise ValueError(f'{name}: kernel_size must be odd, got {attack.kernel_size}')
    if attack.momentum is not None and not attack.momentum >= 0:
        raise ValueError(f'{name}: momentum must be >= 0, got {attack.momentum}')
    check_whole_number(name, restarts=attack.restarts, num_targets=attack.num_targets)
    if attack.num_targets > 1 and attack.targeted != 'top_wrong':
        raise ValueError(f"{name}: num_targets needs targeted='top_wrong', got {attack.targeted!r}")
    if attack.restarts > 1 and not draws:
        raise ValueError(
            f'{name}: all restarts would be the same, since nothing is drawn at random; '
            "set random_start='uniform' or diversity=0.5"
        )
