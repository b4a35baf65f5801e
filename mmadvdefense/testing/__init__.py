"""Checks of whole models, and synthetic data to check them with."""
