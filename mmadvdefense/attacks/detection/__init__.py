"""Attacks on detectors, on the boxes that they consider before non-maximum suppression."""
