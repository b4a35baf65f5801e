"""Networks that map an image to a cleaner one, and the discriminators that some are trained against."""
