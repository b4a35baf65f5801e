import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from mmadvdefense.networks import DenoisingAutoEncoder, DUNet
from mmadvdefense.purifiers import HGDPurifier
from mmadvdefense.purifiers.export import save_purifier_export

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


@pytest.mark.parametrize(
    'setting', [dict(discriminator=dict(type='MultiscaleDiscriminator')), dict(condition_on_labels=True)]
)
def test_there_is_no_discriminator(setting):
    with pytest.raises(ValueError, match='HGDPurifier has no discriminator.*objective_hgd'):
        build(generator=SMALL, **setting)
