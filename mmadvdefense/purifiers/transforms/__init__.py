"""Image transformations that purify without training."""
