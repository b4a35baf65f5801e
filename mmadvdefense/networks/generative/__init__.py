"""Models of natural images, which are trained on clean images alone."""
