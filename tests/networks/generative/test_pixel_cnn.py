import pytest
import torch

from mmadvdefense.networks import PixelCNN

SMALL = dict(channels=4, num_blocks=1, num_mixtures=2)


@pytest.mark.parametrize(('num_levels', 'size'), [(1, (5, 4)), (2, (6, 4)), (3, (8, 8))])
def test_no_pixel_sees_itself_or_what_comes_after(num_levels, size):
    """And every pixel matters to some pixel after it."""
    torch.manual_seed(0)
    network = PixelCNN(num_levels=num_levels, **SMALL).eval().double()
    images = (torch.rand(1, 3, *size, dtype=torch.float64) * 2 - 1).requires_grad_()
    outputs = network(images)[0].abs().sum(0).flatten()
    influence = torch.stack(
        [torch.autograd.grad(own, images, retain_graph=True)[0].abs().sum((0, 1)).flatten() for own in outputs]
    )
    assert not influence.triu().any(), 'rows are outputs, columns inputs'
    assert (influence.tril(-1).sum(0)[:-1] > 0).all()
    # A pixel sees its neighbours above and to the left.
    height, width = size
    for row in range(1, height):
        for column in range(1, width):
            own = influence[row * width + column]
            assert own[row * width + column - 1] > 0 and own[(row - 1) * width + column] > 0


def test_log_likelihood_by_pixel():
    network = PixelCNN(num_levels=2, **SMALL).eval()
    images = torch.randint(256, (2, 3, 4, 6)).float() / 127.5 - 1
    with torch.no_grad():
        assert network(images).shape == (2, 20, 4, 6)
        found = network.log_likelihood(images)
    assert found.shape == (2, 4, 6) and (found < 0).all()


def test_size():
    with torch.device('meta'):
        network = PixelCNN()
    assert sum(parameter.numel() for parameter in network.parameters()) == 859_740, 'as its documentation says'
    with pytest.raises(ValueError, match='must be at least 1, got .*num_levels=0'):
        PixelCNN(num_levels=0)
