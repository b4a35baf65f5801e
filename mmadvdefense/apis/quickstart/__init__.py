"""From a config and a checkpoint to a purifier and its numbers, in a given time."""

from .run import Quickstart, QuickstartFiles

__all__ = ['Quickstart', 'QuickstartFiles']
