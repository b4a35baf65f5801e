"""Certificates of models whose smoothed radius is known."""

from __future__ import annotations

import math

import pytest
import torch
from rich.console import Console

from mmadvdefense.evaluation.certification import ABSTAIN, NoisyVotes, SmoothedModel
from mmadvdefense.evaluation.certification.attacked import attack_inside, check_certificates
from mmadvdefense.evaluation.certification.bounds import certified_radius, lower_bound
from mmadvdefense.evaluation.certification.row_file import RowFile

pytest.importorskip('mmpretrain')
SMALL = dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,), zero_init=False)


def share_below(x: float) -> float:
    """The standard normal distribution function."""
    return (1 + math.erf(x / math.sqrt(2))) / 2


def test_votes_are_the_share_of_noise_on_this_side(linear, grey, distance):
    """A mean of 48 values with noise of 20 each has a standard deviation of 20 / sqrt(48)."""
    votes = NoisyVotes(linear, 20, batch_size=300).count(grey(130), 4000, seed=1)
    expected = share_below(distance(2) / 20)
    assert votes.sum() == 4000 and votes.dtype == torch.int32
    assert int(votes[1]) / 4000 == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / 4000))


@pytest.mark.parametrize(('value', 'label'), [(133, 1), (123, 0)])
def test_the_radius_of_a_linear_classifier(linear, grey, distance, value, label):
    certificate = SmoothedModel(linear, 20, n=4000).certify(grey(value))
    exact = distance(5)
    assert certificate.label == certificate.selected == label
    assert 0.9 * exact < certificate.radius <= exact
    assert certificate.radius_in_unit_range == certificate.radius / 255
    assert certificate.probability == pytest.approx(lower_bound(certificate.votes, 4000, 0.001))
    assert certificate.radius == pytest.approx(certified_radius(20, certificate.probability))


def test_nothing_inside_the_radius_changes_the_class(linear, grey, distance):
    """The worst change is known: all values alike, towards the boundary. Beyond the exact radius it succeeds."""
    smoothed = SmoothedModel(linear, 20, n=4000)
    certificate = smoothed.certify(grey(133))
    per_value = distance(1)
    assert smoothed.predict(grey(133 - certificate.radius / per_value), n=4000).label == 1
    assert smoothed.predict(grey(133 - 1.1 * distance(5) / per_value), n=4000).label == 0


def test_an_attack_inside_the_radius_does_not_succeed(linear, grey, distance, make_samples, tmp_path):
    """PGD finds the worst direction of a linear classifier, and goes as far as it may."""
    (sample,) = make_samples(1)
    sample.set_gt_label(1)
    smoothed = SmoothedModel(linear, 20, n=2000)
    beyond = attack_inside(smoothed, grey(133), sample, 1.1 * distance(5))
    assert smoothed.predict(beyond, n=4000).label == 0
    radius = smoothed.certify(grey(133), sample).radius
    certified = [dict(index=0, label=1, predicted=1, radius=radius), dict(index=1, label=0, predicted=1, radius=9.0)]
    rows = RowFile(tmp_path / 'attacked.jsonl')
    data = [dict(inputs=grey(133), data_samples=sample)]
    check_certificates(smoothed, data, certified, 5, rows, 'linear', Console(quiet=True))
    (row,) = rows.rows.values()
    assert row['predicted'] != 0 and row['distance'] == pytest.approx(radius, rel=0.02)


def test_all_votes_for_one_class(linear, grey):
    smoothed = SmoothedModel(linear, 20, n0=10, n=500)
    certificate = smoothed.certify(grey(160))
    assert certificate.votes == 500 and certificate.label == 1
    assert certificate.radius == smoothed.largest_radius == pytest.approx(certified_radius(20, 0.001 ** (1 / 500)))


def test_abstains_next_to_the_boundary(linear, grey):
    smoothed = SmoothedModel(linear, 20, n0=100, n=1000)
    certificate = smoothed.certify(grey(128.05))
    assert certificate.label is None and certificate.radius == 0 and certificate.probability <= 0.5
    assert 400 < certificate.votes < 600
    prediction = smoothed.predict(grey(128.05))
    assert prediction.label is None and prediction.p_value > 0.001 and sum(prediction.votes) == 100


def test_predicts_with_few_votes(linear, grey):
    prediction = SmoothedModel(linear, 20).predict(grey(140), n=11)
    assert prediction.label == 1 and prediction.votes == (11, 0)
    assert prediction.p_value == pytest.approx(2 / 2**11)


def test_a_wrong_class_is_not_estimated_if_only_the_true_one_counts(linear, grey):
    smoothed = SmoothedModel(linear, 20, n=500)
    skipped = smoothed.certify(grey(140), only=0)
    assert (skipped.label, skipped.radius, skipped.selected, skipped.votes) == (None, 0, 1, 0)
    assert smoothed.certify(grey(140), only=1) == smoothed.certify(grey(140))


def test_the_noise_belongs_to_seed_and_image(linear, grey, make_samples):
    sample, other = make_samples(2)
    image = grey(129)
    first = SmoothedModel(linear, 20, n=300).certify(image, sample)
    assert SmoothedModel(linear, 20, n=300).certify(image.to(torch.uint8), sample) == first
    others = [SmoothedModel(linear, 20, n=300).certify(image, other), SmoothedModel(linear, 20, n=300, seed=1)]
    assert others[0].votes != first.votes and others[1].certify(image, sample).votes != first.votes


def test_the_model_is_left_as_it_was(linear, grey):
    linear.train()
    SmoothedModel(linear, 20, n=100).certify(grey(140))
    assert linear.training and all(parameter.requires_grad for parameter in linear.parameters())


@pytest.fixture
def protected(make_classifier):
    """A model behind a purifier of its own noise, as if it had been trained."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = make_classifier(type='SmoothedPurifier', sigma=30.0, generator=SMALL)
    model.data_preprocessor.num_updates += 1
    return model.eval()


def test_the_purifier_adds_the_noise_itself(protected, make_images):
    """Votes are the classes that the host predicts behind the purifier, noise and all."""
    image = make_images(3, 12, 10)
    votes = NoisyVotes(protected, batch_size=40)
    assert votes.sigma == 30
    seen = []
    handle = protected.data_preprocessor.generator.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    counted = votes.count(image, 80, seed=2)
    handle.remove()
    noise = (torch.cat(seen[1:]) + 1) * 127.5 - image
    inside = (image > 90) & (image < 165)
    assert noise[:, inside].std().item() == pytest.approx(30, rel=0.05)
    with torch.no_grad():
        pixels = (torch.cat(seen[1:]) + 1) * 127.5
        cleaned = protected.data_preprocessor._run(pixels)[2]
        logits = protected(protected.data_preprocessor.native(dict(inputs=cleaned))['inputs'], mode='tensor')
    assert torch.equal(counted.long(), torch.bincount(logits.argmax(1), minlength=5))


def test_without_the_purifier_the_same_noise_is_added_here(protected, make_classifier, make_images):
    image = make_images(3, 12, 10)
    plain = make_classifier().eval()
    plain.load_state_dict(protected.state_dict(), strict=False)
    assert NoisyVotes(protected, purifier=False).sigma == 30
    ours = NoisyVotes(protected, purifier=False).count(image, 60, seed=4)
    assert torch.equal(ours, NoisyVotes(plain, 30).count(image, 60, seed=4))


def test_another_purifier_cleans_the_noise(make_classifier, make_images):
    model = make_classifier(type='MeanFilterPurifier', kernel_size=3).eval()
    image = make_images(3, 12, 10)
    votes = NoisyVotes(model, 30).count(image, 50, seed=4)
    assert votes.sum() == 50
    with pytest.raises(ValueError, match='MeanFilterPurifier has no noise of its own: set sigma'):
        NoisyVotes(model)


def test_an_untrained_purifier(make_classifier):
    with pytest.raises(RuntimeError, match='SmoothedPurifier is untrained'):
        NoisyVotes(make_classifier(type='SmoothedPurifier', sigma=30.0, generator=SMALL))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(sigma=0.25), 'certification: sigma is in pixels .* 0.25 of images in 0-1, .* is sigma=63.75'),
        (dict(sigma=31.0), r'trained for sigma=30 .* cannot be certified under sigma=31'),
        (dict(n=50), '1 <= n0 <= n; got n0=100, n=50'),
        (dict(alpha=1.5), 'got 1.5'),
        (dict(tau=0.4), 'tau .* at least 0.5 and below 1; got 0.4'),
        (dict(batch_size=0), 'batch_size must be at least 1'),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_bad_settings(protected, settings, message):
    with pytest.raises(ValueError, match=message):
        SmoothedModel(protected, **settings)


def test_several_labels_an_image(make_classifier):
    model = make_classifier(head=dict(type='MultiLabelLinearClsHead', num_classes=5, in_channels=16))
    with pytest.raises(ValueError, match='each image, or each pixel, in one class'):
        NoisyVotes(model, 20)


def test_images_that_are_no_pixels(linear):
    smoothed = SmoothedModel(linear, 20)
    with pytest.raises(ValueError, match='take raw pixels 0-255'):
        smoothed.certify(torch.rand(3, 4, 4))
    with pytest.raises(ValueError, match='3 channels'):
        smoothed.certify(torch.ones(1, 4, 4))
    with pytest.raises(ValueError, match='a classifier has one class an image: use certify'):
        smoothed.certify_pixels(torch.ones(3, 4, 4))


# Pixel by pixel ------------------------------------------------------------------------------------------------------


def test_pixels_near_the_threshold_are_left_out(pointwise_segmentor):
    """A pixel's sum has noise of ``sqrt(3) sigma``; 6 x 9 pixels do not fill the host's padding to 8 x 16."""
    image = torch.full((3, 6, 9), 133.0)
    image[:, 0, 0], image[:, 5, 8] = 128, 100
    smoothed = SmoothedModel(pointwise_segmentor, 8, n0=20, n=400)
    certificate = smoothed.certify_pixels(image)
    # Both classes are equally likely there.
    assert certificate.labels[0, 0] == ABSTAIN
    assert certificate.labels[5, 8] == 1
    # 15 / (8 sqrt(3)): a probability of 0.86, above 0.75 but near it.
    rest = certificate.labels.flatten()[1:-1]
    assert set(rest.tolist()) <= {0, ABSTAIN} and (rest == 0).float().mean() > 0.5
    assert certificate.labels.shape == (6, 9)
    assert certificate.abstained == pytest.approx((certificate.labels == ABSTAIN).double().mean().item())
    assert certificate.radius == smoothed.largest_radius == pytest.approx(8 * 0.67449, rel=1e-4)
    assert certificate.radius_in_unit_range == certificate.radius / 255


def test_one_pixel_of_many_must_be_more_certain(pointwise_segmentor):
    """Votes that suffice for a pixel alone do not among 575 others: the first threshold is 0.01 / 576."""
    smoothed = SmoothedModel(pointwise_segmentor, 8, n0=20, n=600, alpha=0.01)
    many = torch.full((3, 24, 24), 128.0)
    many[:, 0, 0] = 132.0
    assert smoothed.certify_pixels(many[:, :1, :1]).labels[0, 0] == 0
    assert (smoothed.certify_pixels(many).labels == ABSTAIN).all()


def test_a_segmentor_has_no_certificate_of_the_image(pointwise_segmentor):
    with pytest.raises(ValueError, match='a segmentor is certified pixel by pixel: use certify_pixels'):
        SmoothedModel(pointwise_segmentor, 8).certify(torch.full((3, 8, 8), 100.0))
