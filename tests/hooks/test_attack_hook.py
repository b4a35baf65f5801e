"""Adversarial images in validation and testing: whose, how far from the clean ones, and the same in every setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmadvdefense.attacks import FGSM, Attack, AttackSource, GradientAttack, Randomness, build_attack, derive_seed
from mmadvdefense.hooks import AttackHook
from mmadvdefense.models import build_model
from mmadvdefense.registry import ATTACKS
from mmadvdefense.threats import UnsupportedAttackError

pytest.importorskip('mmpretrain')

# Not an integer, so that rounding shows.
PGD = dict(type='PGD', eps=7.9, step_size=3, steps=2)
IDENTITY = dict(type='DUNet', widths=(4,), encoder_units=(1,), decoder_units=())


class Seen(Hook):
    """Keeps the images before and after the attack, and what reaches the native preprocessor."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.adversarial: list[Tensor] = []
        self.samples: list = []
        self.purified: list[Tensor] = []

    def before_test_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        self.adversarial.extend(data_batch['inputs'])
        self.samples.extend(data_batch['data_samples'])

    before_val_iter = before_test_iter

    def watch(self, preprocessor) -> None:
        native = getattr(preprocessor, 'native', preprocessor)
        handle = native.register_forward_pre_hook(lambda _, args: self.purified.append(args[0]['inputs']))
        self.handle = handle


@ATTACKS.register_module(force=True)
class AddFive(Attack):
    """Moves all images but one by 5 towards grey; asks once for the second image, twice for the third."""

    access = 'scores'

    def __init__(self, eps: float, spare: str = ''):
        super().__init__(eps)
        self.spare = spare

    def perturb(self, batch) -> Tensor:
        names = [str(sample.sample_idx) for sample in batch.samples]
        batch.queries += torch.tensor([int(name) for name in names])
        step = torch.tensor([0.0 if name == self.spare else 5.0 for name in names])
        return batch.clean + step.view(-1, 1, 1, 1) * (127.5 - batch.clean).sign()


class Tested(NamedTuple):
    metrics: dict
    adversarial: list[Tensor]
    clean: list[Tensor]
    samples: list
    runner: Runner
    hook: AttackHook


@pytest.fixture
def attacked(make_config) -> Callable[..., Tested]:
    """Test six images under an attack, with a generator that calls itself trained."""

    def run(
        attack: Any = PGD,
        batch_size: int = 3,
        images: int = 6,
        enabled: bool = True,
        prepare: Callable = lambda runner: None,
        stage: str = 'test',
        generator: Any = None,
        **settings: Any,
    ) -> Tested:
        changes = {'data_preprocessor.generator': generator} if generator else {}
        changes |= {name: settings.pop(name) for name in list(settings) if name.startswith(('test_', 'val_'))}
        if generator:
            changes['data_preprocessor.generator'] = {**generator, '_delete_': True}
        runner = Runner.from_cfg(make_config(images=images, batch_size=batch_size, **changes))
        runner.model.data_preprocessor.num_updates += 1
        runner.model.data_preprocessor.enabled = enabled
        hook = AttackHook(attack, **settings)
        runner.register_hook(hook)
        seen = Seen()
        runner.register_hook(seen)
        prepare(runner)
        metrics = runner.test() if stage == 'test' else runner.val()
        dataset = runner.test_dataloader.dataset if stage == 'test' else runner.val_dataloader.dataset
        clean = [dataset[index]['inputs'].float() for index in range(len(dataset))]
        return Tested(metrics, seen.adversarial, clean, seen.samples, runner, hook)

    return run


def _numbers(metrics: dict) -> dict:
    return {name: metrics[name] for name in metrics if not name.startswith(('time', 'data_time'))}


# What is measured ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('stage', ['test', 'val'])
def test_measures_by_hand(attacked, stage):
    tested = attacked(stage=stage)
    delta = (torch.stack(tested.adversarial) - torch.stack(tested.clean)).double().numpy()
    linf, l2 = np.abs(delta).max((1, 2, 3)), np.sqrt((delta**2).sum((1, 2, 3)))
    expected = {
        'perturbation/linf_mean': linf.mean(),
        'perturbation/linf_max': linf.max(),
        'perturbation/l2_mean': l2.mean(),
        'perturbation/l2_max': l2.max(),
    }
    for name, value in expected.items():
        assert tested.metrics[name] == pytest.approx(value, rel=1e-5), name
    assert 7 < linf.max() <= 7.9 + 1e-4
    with torch.no_grad():
        purified = tested.runner.model.data_preprocessor.purify(torch.stack(tested.adversarial))
    error = ((purified - torch.stack(tested.clean)).double() ** 2).mean((1, 2, 3)).numpy()
    psnr = (10 * np.log10(255**2 / error)).mean()
    assert tested.metrics['purified/psnr'] == pytest.approx(psnr, rel=1e-4)
    assert not tested.runner.model.data_preprocessor.native._forward_pre_hooks, 'the handle is removed'


def test_without_the_purifier(attacked):
    """What the model sees then are the adversarial images themselves."""
    tested = attacked(enabled=False)
    error = ((torch.stack(tested.adversarial) - torch.stack(tested.clean)) ** 2).mean((1, 2, 3))
    assert tested.metrics['purified/psnr'] == pytest.approx((10 * torch.log10(255**2 / error)).mean().item(), rel=1e-4)


def test_clean_images(attacked):
    tested = attacked(attack=None, enabled=False)
    assert all(torch.equal(a.float(), c) for a, c in zip(tested.adversarial, tested.clean))
    assert tested.metrics['perturbation/linf_max'] == 0
    assert tested.metrics['purified/psnr'] == float('inf')


def test_one_image_that_no_attack_changes(attacked):
    """Its infinite PSNR does not hide that of the others."""
    tested = attacked(attack=dict(type='AddFive', eps=5, spare='0'), enabled=False, batch_size=6)
    assert tested.metrics['purified/psnr'] == pytest.approx(10 * np.log10(255**2 / 25), rel=1e-5)
    assert tested.metrics['perturbation/l2_mean'] == pytest.approx(5 * np.sqrt(3072) * 5 / 6, rel=1e-5)


def test_the_share_of_the_image_that_a_patch_changes(attacked):
    """In addition, and for such attacks alone."""
    tested = attacked(attack=dict(type='DPatch', area=0.05, steps=1), enabled=False, score_samples=True)
    changed = (torch.stack(tested.adversarial) != torch.stack(tested.clean)).any(1).float().mean((1, 2))
    assert tested.hook.samples['area'] == pytest.approx(changed.tolist()) and 0.03 < changed.min()
    assert tested.metrics['perturbation/area_mean'] == pytest.approx(changed.mean().item())
    assert tested.metrics['perturbation/area_max'] == pytest.approx(changed.max().item()) and changed.max() <= 0.05
    assert 'perturbation/area_mean' not in attacked(enabled=False).metrics


def test_queries(attacked):
    tested = attacked(attack=dict(type='AddFive', eps=5), enabled=False)
    assert tested.metrics['attack/queries_mean'] == pytest.approx((0 + 1 + 2 + 3 + 4 + 5) / 6)
    assert tested.metrics['attack/queries_max'] == 5
    assert 'attack/queries_mean' not in attacked(attack=None).metrics


def test_what_became_of_every_image(attacked):
    """By hand, in the order of the data set."""
    tested = attacked(enabled=False, batch_size=4, score_samples=True)
    samples = tested.hook.samples
    scores = ['score', 'correct', 'decision', 'label']
    assert list(samples) == ['image', 'linf', 'l2', 'psnr', 'queries', 'nonfinite', 'rise', *scores]
    assert all(rise > 0 for rise in samples['rise'])
    adversarial, clean = torch.stack(tested.adversarial), torch.stack(tested.clean)
    model = tested.runner.model.eval()
    with torch.no_grad():
        said = model(model.data_preprocessor.native({'inputs': adversarial})['inputs']).argmax(1)
    labels = [int(sample.gt_label) for sample in tested.samples]
    assert samples['image'] == [str(index) for index in range(6)]
    assert samples['decision'] == said.tolist() and samples['label'] == labels
    assert samples['correct'] == (said == torch.tensor(labels)).tolist()
    assert samples['score'] == [float(right) for right in samples['correct']]
    assert samples['l2'] == pytest.approx((adversarial - clean).flatten(1).norm(dim=1).tolist(), rel=1e-5)
    assert samples['queries'] == [PGD['steps']] * 6
    assert np.mean(samples['psnr']) == pytest.approx(tested.metrics['purified/psnr'])


def test_images_of_different_sizes(attacked):
    """The padding that a batch needs is measured by nothing."""
    sizes = [[dict(type='Resize', scale=(size, 24))] for size in (20, 32)]
    np.random.seed(0)
    pipeline = [dict(type='RandomChoice', transforms=sizes), dict(type='PackInputs')]
    changes = {'test_dataloader.dataset.pipeline': pipeline, 'test_dataloader.collate_fn.type': 'pseudo_collate'}
    tested = attacked(attack=dict(type='FGSM', eps=4), enabled=False, batch_size=6, **changes)
    assert {image.shape[-1] for image in tested.adversarial} == {20, 32}
    # FGSM moves (nearly) every pixel by 4; counted with padding, the error would be smaller by more than a dB.
    assert tested.metrics['purified/psnr'] == pytest.approx(10 * np.log10(255**2 / 16), abs=1.5)
    assert tested.metrics['perturbation/linf_max'] == pytest.approx(4, abs=1e-4)


# Whose gradients -----------------------------------------------------------------------------------------------------


def _by_hand(model, tested: Tested, seed: int = 0) -> Tensor:
    """The attack called directly."""
    randomness = Randomness([derive_seed(seed, 'test', str(index)) for index in range(len(tested.clean))])
    return build_attack(PGD)(AttackSource(model.eval()), torch.stack(tested.clean), tested.samples, randomness)


def test_white_box_attacks_the_target_without_its_purifier(attacked):
    tested = attacked()
    assert torch.allclose(torch.stack(tested.adversarial), _by_hand(tested.runner.model, tested), atol=1e-3)


def test_transfer_attacks_another_model(attacked, source_files):
    config, checkpoint = source_files
    tested = attacked(source=dict(config=config, checkpoint=checkpoint))
    source = build_model(config)
    source.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    adversarial = torch.stack(tested.adversarial)
    assert torch.allclose(adversarial, _by_hand(source, tested), atol=1e-3)
    assert not torch.allclose(adversarial, _by_hand(tested.runner.model, tested), atol=1e-3)


def test_sources_that_do_not_fit(attacked, source_files, tmp_path):
    config, checkpoint = source_files
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        attacked(source=dict(config=config, checkpoint=str(tmp_path / 'nowhere.pth')))
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    state['head.fc.weight'], state['head.fc.bias'] = state['head.fc.weight'][:7], state['head.fc.bias'][:7]
    torch.save({'state_dict': state}, tmp_path / 'seven.pth')
    with pytest.raises(ValueError, match='trained for 7 classes, the target has 10'):
        attacked(source=dict(config=config, checkpoint=str(tmp_path / 'seven.pth')))
    (tmp_path / 'seven.py').write_text(f'_base_ = "{config}"\nmodel = dict(head=dict(num_classes=7))\n')
    with pytest.raises(ValueError, match='the attack source predicts 7 classes, the target 10'):
        attacked(source=dict(config=str(tmp_path / 'seven.py'), checkpoint=str(tmp_path / 'seven.pth')))


def test_bad_attacks():
    for attack, message in (
        (dict(type='FGSM', eps=-2), 'eps'),
        (dict(type='PGD', eps=8, steps=3), 'step_size'),
        (dict(type='PGDD', eps=8), 'did you mean PGD'),
    ):
        with pytest.raises(ValueError, match=message):
            AttackHook(attack)


def test_a_budget_of_the_range_0_to_1():
    with pytest.warns(UserWarning, match=r'FGSM: eps=0.031 is in pixels \(0-255\).* eps=7.905'):
        AttackHook(dict(type='FGSM', eps=0.031))


def test_attacks_that_cannot_run(attacked):
    with pytest.raises(UnsupportedAttackError, match='PGD needs gradients, which a query attacker does not have'):
        AttackHook(PGD, threat_model='query')
    with pytest.raises(UnsupportedAttackError, match='AddFive uses no gradients; use query'):
        AttackHook(dict(type='AddFive', eps=5), threat_model='adaptive')
    with pytest.raises(UnsupportedAttackError, match='AlignPurifier is not random'):
        attacked(threat_model='adaptive-eot')
    with pytest.raises(UnsupportedAttackError, match='adaptive attacks the purifier, .* has none that is enabled'):
        attacked(threat_model='adaptive', enabled=False)
    with pytest.raises(UnsupportedAttackError, match='losses of a classification model have no part'):
        attacked(attack=dict(type='FGSM', eps=4, objective='loc'))


def test_an_attack_that_does_not_fit_ends_a_training_before_it_begins(train):
    """And not at the first validation, after an epoch of work."""
    hooks = [
        dict(type='PurifierTrainHook', attack=dict(type='FGSM', eps=4), losses=[dict(type='PixelReconstructionLoss')]),
        dict(type='AttackHook', attack=dict(type='FGSM', eps=4, objective='loc'), stages=('val',)),
    ]
    runners = []
    with pytest.raises(UnsupportedAttackError, match='losses of a classification model have no part'):
        train(runners.append, custom_hooks=hooks)
    assert runners[0].iter == 0


def test_a_dataset_of_other_classes(attacked):
    with pytest.raises(ValueError, match='HandwrittenDigits has 2 classes, ImageClassifier predicts 10'):
        attacked(**{'test_dataloader.dataset.metainfo': dict(classes=('a', 'b'))})


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize('attack', [PGD, None], ids=['attacked', 'clean'])
def test_images_without_three_channels(attacked, channels, attack):
    from mmcv.transforms import BaseTransform
    from mmengine.registry import TRANSFORMS

    class Channels(BaseTransform):
        def transform(self, results):
            return {**results, 'img': np.zeros((32, 32, channels), np.uint8), 'img_path': 'images/odd.png'}

    TRANSFORMS.register_module(name=f'TestChannels{channels}', module=Channels, force=True)
    pipeline = [dict(type=f'TestChannels{channels}'), dict(type='PackInputs')]
    with pytest.raises(ValueError, match=rf'images/odd\.png has shape \({channels}, 32, 32\).*3 channels'):
        attacked(attack=attack, **{'test_dataloader.dataset.pipeline': pipeline})


# The same images in every setting -------------------------------------------------------------------------------------


def test_batch_size_does_not_matter(attacked):
    three, eight = attacked(batch_size=3, images=8), attacked(batch_size=8, images=8)
    assert len(three.adversarial) == len(eight.adversarial) == 8
    # Up to rounding: kernels differ with the batch size.
    moved = (torch.stack(three.adversarial) - torch.stack(eight.adversarial)).abs() > 1e-3
    assert moved.float().mean() < 1e-3
    for name, value in _numbers(three.metrics).items():
        assert value == pytest.approx(eight.metrics[name], rel=1e-4), name


def test_seed(attacked):
    first, again, other = attacked(), attacked(), attacked(seed=5)
    assert torch.equal(torch.stack(first.adversarial), torch.stack(again.adversarial))
    assert not torch.equal(torch.stack(first.adversarial), torch.stack(other.adversarial))


def test_images_of_different_sizes_do_not_matter_to_each_other(attacked):
    """A batch pads the smaller ones, but they are attacked at their own size."""
    sizes = [[dict(type='Resize', scale=(size, 24))] for size in (20, 32)]
    pipeline = [dict(type='RandomChoice', transforms=sizes), dict(type='PackInputs')]
    changes = {'test_dataloader.dataset.pipeline': pipeline, 'test_dataloader.collate_fn.type': 'pseudo_collate'}
    seen = []
    for batch_size in (1, 6):
        np.random.seed(0)
        seen.append(attacked(enabled=False, batch_size=batch_size, **changes).adversarial)
    assert {image.shape[-1] for image in seen[0]} == {20, 32}
    for alone, together in zip(*seen):
        assert alone.shape == together.shape
        assert ((alone - together).abs() > 1e-3).float().mean() < 1e-3


def test_host_losses_are_asked_about_one_image_at_a_time(attacked, monkeypatch):
    """A host averages them over its batch: its neighbours would scale an image's parts of the loss."""
    sizes = []
    original = FGSM.perturb
    monkeypatch.setattr(FGSM, 'perturb', lambda self, batch: sizes.append(len(batch)) or original(self, batch))
    attacked(attack=dict(type='FGSM', eps=4, objective='task_loss'), images=3)
    attacked(attack=dict(type='FGSM', eps=4), images=3)
    assert sizes == [1, 1, 1, 3]


def test_the_state_of_the_process_is_left_alone(attacked):
    """What a model draws in a test does not depend on whether its images came from a cache."""
    states = []
    for attack in (PGD, None):
        attacked(attack=attack, prepare=lambda runner: torch.manual_seed(11))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_quantize_rounds_to_whole_pixels_in_the_ball(attacked):
    plain, rounded = attacked(), attacked(quantize=True)
    ours, theirs, clean = (torch.stack(images) for images in (rounded.adversarial, plain.adversarial, plain.clean))
    # 7.9 would become 8, which is more than the attacker may do.
    assert torch.equal(ours, torch.minimum(torch.maximum(theirs.round(), (clean - 7)), clean + 7).clamp(0, 255))
    assert (ours - clean).abs().max() == 7 and (ours != theirs).any()


# Images that were made before -----------------------------------------------------------------------------------------


@pytest.fixture
def crafted(attacked, monkeypatch) -> Callable[..., tuple[Tested, int]]:
    """Run :func:`attacked`; returns how many images went through the attack as well."""

    def run(**settings: Any) -> tuple[Tested, int]:
        counts = []
        original = GradientAttack.perturb

        def perturb(self, batch):
            counts.append(len(batch))
            return original(self, batch)

        with monkeypatch.context() as patch:
            patch.setattr(GradientAttack, 'perturb', perturb)
            return attacked(**settings), sum(counts)

    return run


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob('*.npz')}


@pytest.mark.parametrize('quantize', [False, True])
def test_each_image_is_made_once(crafted, tmp_path, quantize):
    settings = dict(cache_dir=tmp_path / 'cache', quantize=quantize)
    first, made = crafted(enabled=False, **settings)
    files = _files(tmp_path / 'cache')
    assert made == len(files) == 6
    assert max(map(len, files.values())) < (4300 if quantize else 14300), 'a byte a value where that is enough'
    # With the purifier, in other batches, and of more images: what is there is taken from there.
    for changes, expected in (({}, 0), (dict(batch_size=4), 0), (dict(images=8, batch_size=6), 2)):
        again, made = crafted(**settings, **changes)
        assert made == expected
        assert all(torch.equal(a, b) for a, b in zip(first.adversarial, again.adversarial))
        assert again.hook.samples['queries'][:6] == first.hook.samples['queries']
    assert len(_files(tmp_path / 'cache')) == 8


def test_what_is_missing_of_a_batch_is_made_as_if_nothing_were_there(crafted, tmp_path):
    cache = tmp_path / 'cache'
    """As after a kill: the other images of the batch take part, because roundings depend on their number."""
    first, _ = crafted(cache_dir=cache, batch_size=6)
    before = _files(cache)
    next(cache.rglob('*.npz')).unlink()
    again, made = crafted(cache_dir=cache, batch_size=6)
    assert made == 6 and _files(cache) == before
    assert all(torch.equal(a, b) for a, b in zip(first.adversarial, again.adversarial))


def test_a_damaged_file_is_named_and_made_again(crafted, tmp_path, monkeypatch):
    cache = tmp_path / 'cache'
    crafted(cache_dir=cache)
    before = _files(cache)
    path = next(cache.rglob('*.npz'))
    path.write_bytes(path.read_bytes()[:-40])
    said = []
    monkeypatch.setattr('mmadvdefense.threats.cache.print_log', lambda text, *_: said.append(text))
    crafted(cache_dir=cache)
    assert _files(cache) == before
    assert len(said) == 1 and str(path) in said[0] and 'damaged' in said[0]


def test_stages(attacked):
    """A hook for validation leaves test images alone."""
    tested = attacked(stages=('val',))
    assert all(torch.equal(a.float(), c) for a, c in zip(tested.adversarial, tested.clean))
    assert 'perturbation/linf_mean' not in tested.metrics


def test_an_untrained_generator_is_no_defense(attacked):
    def forget(runner):
        runner.model.data_preprocessor.num_updates.zero_()

    with pytest.raises(RuntimeError, match='AlignPurifier is untrained'):
        attacked(prepare=forget)


def test_an_identity_generator_changes_no_score(attacked):
    """The metric with a purifier that does nothing is the metric without one."""
    with_, without = attacked(generator=IDENTITY), attacked(generator=IDENTITY, enabled=False)
    assert with_.metrics['accuracy/top1'] == without.metrics['accuracy/top1']
    assert with_.metrics['purified/psnr'] == pytest.approx(without.metrics['purified/psnr'], abs=1e-3)


def test_the_target_s_checkpoint_behind_an_exported_purifier(make_config, capsys):
    """It lacks the purifier, which is there already: no word of missing keys."""
    config = make_config()
    config.custom_hooks = [dict(type='AttackHook', attack=PGD)]
    runner = Runner.from_cfg(config)
    before = {name: value.clone() for name, value in runner.model.data_preprocessor.state_dict().items()}
    runner.load_or_resume()
    said = capsys.readouterr()
    assert 'missing keys' not in said.out + said.err
    after = runner.model.data_preprocessor.state_dict()
    assert before and all(torch.equal(after[name], value) for name, value in before.items())
