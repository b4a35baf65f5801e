"""The small built-in data set."""

from .digits import HandwrittenDigits

__all__ = ['HandwrittenDigits']
