"""Attacks on models that predict a class for every pixel."""
