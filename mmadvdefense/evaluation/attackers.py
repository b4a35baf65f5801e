"""The three kinds of attackers that the first table of a report tells apart."""

from __future__ import annotations

from ..threats import INFORMED

# By the name that reports have for them.
TITLES = {
    'gray-box': 'worst gray-box',
    'transfer': 'worst transfer',
    'informed': 'worst defense-aware',
}


def attacker_groups(threat: str, purifier: bool) -> tuple[str, ...]:
    """The groups, keys of :data:`TITLES`, in which attacks on a defense count.

    Args:
        threat: name of the threat model, such as ``'adaptive'``.
        purifier: whether the defense has a purifier. Where it has none, a gray-box attacker knows all there is to know,
            and an adaptive one is the same attacker.
    """
    if threat == 'query' or (purifier and threat in INFORMED):
        return ('informed',)
    if not purifier and (threat == 'gray-box' or threat in INFORMED):
        return ('gray-box', 'informed')
    return (threat,) if threat in TITLES else ()
