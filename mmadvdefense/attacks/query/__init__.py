"""Attacks that only query the model for scores or decisions."""
