"""Minimum-norm attacks: the smallest perturbation that succeeds."""
