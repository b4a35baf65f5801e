import pytest
import torch

from mmadvdefense.networks import (
    GlobalGenerator,
    MultiscaleDiscriminator,
    convert_pix2pixhd_discriminator,
    convert_pix2pixhd_generator,
)
from mmadvdefense.networks.converters import _generator_layers


@pytest.mark.parametrize('prefix', ['', 'netG.', 'module.', 'netG.module.'])
def test_generator_parity(reference, reference_state, prefix):
    state = {prefix + key: value for key, value in reference_state('gen').items()}
    generator = GlobalGenerator(base_channels=8, num_downsamples=2, num_blocks=2)
    generator.load_state_dict(convert_pix2pixhd_generator(state))
    with torch.no_grad():
        torch.testing.assert_close(generator(reference['gen_input']), reference['gen_output'], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('prefix', ['', 'netD.', 'module.'])
def test_discriminator_parity(reference, reference_state, prefix):
    state = {prefix + key: value for key, value in reference_state('dis').items()}
    discriminator = MultiscaleDiscriminator(base_channels=8)
    discriminator.load_state_dict(convert_pix2pixhd_discriminator(state))
    with torch.no_grad():
        outputs = discriminator(reference['dis_fake'])
    for scale, layers in enumerate(outputs):
        torch.testing.assert_close(layers[-1], reference[f'dis_logits_{scale}'], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('num_downsamples, num_blocks', [(1, 0), (2, 9), (4, 9), (0, 3)])
def test_generator_layout_is_inferred(num_downsamples, num_blocks):
    generator = GlobalGenerator(base_channels=1, num_downsamples=num_downsamples, num_blocks=num_blocks)
    ours = generator.state_dict()
    layers = {name: theirs for theirs, name in _generator_layers(num_downsamples, num_blocks).items()}
    theirs = {}
    for key, value in ours.items():
        layer, _, parameter = key.rpartition('.')
        theirs[f'{layers[layer]}.{parameter}'] = value
    converted = convert_pix2pixhd_generator(theirs)
    assert converted.keys() == ours.keys()
    assert all(converted[key] is theirs_value for key, theirs_value in zip(ours, theirs.values()))


@pytest.mark.parametrize(
    'removed, added, offending',
    [
        ('model.7.', {}, 'model.7.weight'),
        ('model.11.conv_block.5.weight', {}, 'model.11.conv_block.5.weight'),
        ('nothing', {'model.11.conv_block.6.weight': None}, 'model.11.conv_block.6.weight'),
        ('nothing', {'model.2.running_mean': None}, 'model.2.running_mean'),
        ('nothing', {'encoder.weight': None}, 'encoder.weight'),
        ('', {}, 'model.1.weight'),
    ],
)
def test_generator_names_the_offending_key(reference_state, removed, added, offending):
    state = {key: value for key, value in reference_state('gen').items() if not key.startswith(removed)}
    with pytest.raises(ValueError, match=f"'{offending}'"):
        convert_pix2pixhd_generator(state | added)


@pytest.mark.parametrize(
    'removed, added, offending',
    [
        ('scale0_layer2', {}, 'scale0_layer2.0.weight'),
        ('nothing', {'scale0_layer1.1.weight': None}, 'scale0_layer1.1.weight'),
        ('nothing', {'layer0.0.weight': None}, 'layer0.0.weight'),
        ('', {}, 'scale0_layer0.0.weight'),
    ],
)
def test_discriminator_names_the_offending_key(reference_state, removed, added, offending):
    state = {key: value for key, value in reference_state('dis').items() if not key.startswith(removed)}
    with pytest.raises(ValueError, match=f"'{offending}'"):
        convert_pix2pixhd_discriminator(state | added)
