"""Minimum-norm attacks."""
