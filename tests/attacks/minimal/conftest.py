import pytest


@pytest.fixture
def grey(make_images, make_samples):
    """Images far from black and white, so that no pixel meets the end of its range."""
    return 128 + (make_images(9, 3, 4, 4) - 128) / 16, make_samples(9, 3)
