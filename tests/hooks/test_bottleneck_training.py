"""A bottleneck generator starts from the encoder of an adversarially trained classifier."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip('mmpretrain')
SHAPE = dict(widths=(4, 6), blocks=(1, 1))
ENCODER = dict(_delete_=True, type='BottleneckEncoder', **SHAPE)
STILL = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.0))
NATIVE = dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False)
PREFIX = 'data_preprocessor.generator.encoder.'


@pytest.fixture
def classifier(train, saving, tmp_path):
    """The checkpoint of an encoder that has been trained as a classifier for one epoch."""
    train(
        work_dir=str(tmp_path / 'classifier'),
        data_preprocessor=dict(_delete_=True, type='ClsDataPreprocessor', **NATIVE),
        model=dict(backbone=ENCODER, head=dict(in_channels=6)),
        custom_hooks=[dict(type='AdversarialTrainingHook', attack=dict(type='FGSM', eps=8))],
        optim_wrapper=dict(_delete_=True, optimizer=dict(type='SGD', lr=0.1)),
        load_from=None,
        checkpoint=dict(saving),
    )
    return tmp_path / 'classifier' / 'epoch_1.pth'


def generator(checkpoint=None, **changes):
    return dict(
        _delete_=True,
        type='BottleneckGenerator',
        num_downsamples=1,
        encoder_checkpoint=checkpoint and str(checkpoint),
        **{**SHAPE, **changes},
    )


def test_starts_from_the_classifier_s_encoder(train, classifier, saving, tmp_path, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    settings = dict(
        hook=dict(threat='adaptive', losses=()),
        data_preprocessor=dict(generator=generator(classifier), discriminator=None),
        checkpoint=dict(saving),
    )
    runner, spy = train(**settings, optim_wrapper=STILL)
    trained = torch.load(classifier, weights_only=True)['state_dict']
    started = runner.model.state_dict()
    # Statistics move even if nothing is learned.
    names = [name for name in trained if name.startswith('backbone.') and name.endswith(('weight', 'bias'))]
    assert len(names) == 18
    assert all(torch.equal(started[PREFIX + name.removeprefix('backbone.')], trained[name]) for name in names)
    assert spy.outputs[0]['loss'] > 0
    # Who goes on with a trained generator does not need the classifier, and keeps what has been learned.
    with torch.no_grad():
        runner.model.data_preprocessor.generator.encoder.stem[0].weight.fill_(0.5)
    runner.save_checkpoint(str(tmp_path), 'trained.pth')
    classifier.unlink()
    again, _ = train(
        **settings, optim_wrapper=STILL, work_dir=str(tmp_path / 'again'), load_from=f'{tmp_path}/trained.pth'
    )
    assert again.model.state_dict()[f'{PREFIX}stem.0.weight'].eq(0.5).all()


def test_another_encoder_is_refused_before_training(train, classifier):
    with pytest.raises(ValueError, match=r'stem.0.weight is \(4, 3, 3, 3\) there and \(5, 3, 3, 3\) in the model'):
        train(
            hook=dict(threat='adaptive', losses=()),
            data_preprocessor=dict(generator=generator(classifier, widths=(5, 6)), discriminator=None),
        )
