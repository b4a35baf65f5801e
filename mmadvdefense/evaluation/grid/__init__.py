"""Grids of tests: every defense under every attack and threat model."""
