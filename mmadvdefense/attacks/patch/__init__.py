"""Attacks that replace a part of each image, and perturbations that are the same for all images."""
