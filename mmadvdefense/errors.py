"""Errors that explain themselves: the message names the culprit and the remedy, so no traceback is needed.

The command-line tools print them as one line. Any other exception is a defect, here or in a library, and keeps its
traceback. Each class is also the built-in exception that one would expect, so ``except ValueError`` catches a
:class:`UsageError`.
"""


class MMAdvDefenseError(Exception):
    """Base class of all errors whose message says what to do."""


class UsageError(MMAdvDefenseError, ValueError):
    """An argument, config, file or image cannot be used as given."""


class UnsupportedAttackError(UsageError):
    """An attack is meaningless under a threat model, or impossible against this purifier or model."""


class StateError(MMAdvDefenseError, RuntimeError):
    """An object cannot do this in its present state: it is untrained, for example, or lacks its weights."""


class DependencyError(MMAdvDefenseError, ImportError):
    """A library is missing or has an unsuitable version; the message has the command that installs it."""


class DivergenceError(MMAdvDefenseError, FloatingPointError):
    """A computation has become infinite or NaN."""
