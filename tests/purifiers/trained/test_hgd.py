from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from mmadvdefense.networks import DenoisingAutoEncoder, DUNet
from mmadvdefense.purifiers import STEP, HGDPurifier
from mmadvdefense.purifiers.trained.export import save_purifier_export

pytest.importorskip('mmpretrain')
SMALL = dict(type='DUNet', widths=(2, 3), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)


def build(**settings):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(type='HGDPurifier', mean=[0.0] * 3, std=[1.0] * 3, **settings))


def test_the_default_is_the_published_denoiser():
    with torch.device('meta'):
        purifier = build()
    assert type(purifier.generator) is DUNet and purifier.generator.lateral
    assert sum(p.numel() for p in purifier.parameters()) == pytest.approx(11.0e6, rel=0.01)
    images = torch.zeros(1, 3, 32, 32, device='meta')
    assert purifier.generator(images).shape == images.shape


def test_any_denoiser():
    small = dict(SMALL, type='DenoisingAutoEncoder')
    assert type(build(generator=small).generator) is DenoisingAutoEncoder


def test_an_export_brings_its_denoiser(tmp_path, image_batch):
    trained = build(generator=SMALL)
    trained.num_updates += 3
    save_purifier_export(trained.export(), tmp_path / 'purifier.pth')
    loaded = build(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'purifier.pth')))
    assert isinstance(loaded, HGDPurifier) and loaded.generator_config == SMALL
    with torch.no_grad():
        ours, theirs = loaded.eval().clean(image_batch.images), trained.eval().clean(image_batch.images)
    assert torch.equal(ours, theirs) and not torch.equal(ours, image_batch.images)


@pytest.mark.parametrize('scale', [2.0, 0.5, 0.0])
def test_noise_taken_off_several_times(scale, image_batch):
    """Appendix B: x - 2 dx in place of x - dx, inside the range of pixels."""
    once, scaled = build(generator=SMALL).eval(), build(generator=SMALL, noise_scale=scale).eval()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in once.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    scaled.load_state_dict(once.state_dict())
    once.num_updates += 1
    scaled.num_updates += 1
    images = image_batch.images
    with torch.no_grad():
        inputs, outputs = once.generate(images)
        noise = (outputs - inputs) * 127.5
        ours = scaled.clean(images)
        # What the denoiser is trained on, and what a validation loss sees, is its noise as it is.
        step = SimpleNamespace(clean=images, adversarial=images, purifies_clean=True, images=None)
        trained = scaled.forward({'inputs': images, 'data_samples': None, STEP: step}, training=True)['inputs'][
            : len(images)
        ]
    torch.testing.assert_close(ours, (images + scale * noise).clamp(0, 255), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(trained, (images + noise).clamp(0, 255), rtol=1e-4, atol=1e-3)
    assert (noise.abs() > 1).float().mean() > 0.3


def test_a_negative_scale_is_refused():
    with pytest.raises(ValueError, match='noise_scale must be >= 0'):
        build(generator=SMALL, noise_scale=-1)


@pytest.mark.parametrize(
    'setting', [dict(discriminator=dict(type='MultiscaleDiscriminator')), dict(condition_on_labels=True)]
)
def test_there_is_no_discriminator(setting):
    with pytest.raises(ValueError, match='HGDPurifier has no discriminator.*objective_hgd'):
        build(generator=SMALL, **setting)
