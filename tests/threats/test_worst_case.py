"""Attacks of which the worst on the tested model counts: AutoAttack's protocol, image by image."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner
from torch import Tensor, nn

from mmadvdefense.attacks import Attack, derive_seed
from mmadvdefense.evaluation import Condition, evaluate
from mmadvdefense.hooks import AttackHook
from mmadvdefense.models import build_model, unwrap
from mmadvdefense.registry import ATTACKS
from mmadvdefense.tasks import SampleScores, task_of
from mmadvdefense.threats import UnsupportedAttackError
from mmadvdefense.threats.crafter import Crafted
from mmadvdefense.threats.worst_case import LowestMeanIoU, craft_worst, lowest_accuracy, scores_in_test

pytest.importorskip('mmpretrain')

IMAGES, CLASSES, SIDE = 40, 10, 4
PGD = dict(type='PGD', eps=4, step_size=2, steps=3)
_serial = itertools.count()


@ATTACKS.register_module(force=True)
class Shade(Attack):
    """Makes the images whose number is in ``of`` black, and moves the others by an eighth."""

    access = 'scores'

    def __init__(self, of: tuple = (), eps: float = 255):
        super().__init__(eps)
        self.of = of

    def perturb(self, batch) -> Tensor:
        batch.count(1 + len(self.of))
        dark = torch.tensor([int(sample.sample_idx) in self.of for sample in batch.samples])
        step = torch.where(batch.clean < 128, 0.125, -0.125)
        return torch.where(dark.view(-1, 1, 1, 1), torch.zeros_like(batch.clean), batch.clean + step)


@MODELS.register_module(force=True)
class PixelValues(nn.Module):
    """Pixel values as features."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (images.flatten(1),)


@DATASETS.register_module(force=True)
class Noise(BaseDataset):
    """Images of noise with the labels that a linear model gives them."""

    METAINFO = dict(classes=tuple(map(str, range(CLASSES))))

    def load_data_list(self) -> list[dict]:
        images = torch.rand(IMAGES, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(1)) * 255
        images = images.round()
        labels = _logits(images.permute(0, 3, 1, 2)).argmax(1)
        return [dict(img=image.byte().numpy(), gt_label=int(label)) for image, label in zip(images, labels)]


WEIGHT = torch.randn(CLASSES, 3 * SIDE**2, generator=torch.Generator().manual_seed(0))
MODEL = dict(
    type='ImageClassifier',
    backbone=dict(type='PixelValues'),
    head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=3 * SIDE**2),
)
NATIVE = dict(num_classes=CLASSES, mean=[128.0] * 3, std=[64.0] * 3, to_rgb=False)


def _logits(images: Tensor) -> Tensor:
    """Of the target, without anything of the package."""
    return ((images - 128) / 64).flatten(1) @ WEIGHT.T


@pytest.fixture
def transfer(tmp_path) -> dict:
    """A source whose boundaries lie near those of the target."""
    Config(dict(default_scope='mmpretrain', model=MODEL, data_preprocessor=NATIVE)).dump(tmp_path / 'source.py')
    weight = WEIGHT + 0.7 * torch.randn(WEIGHT.shape, generator=torch.Generator().manual_seed(2))
    state = {'head.fc.weight': weight, 'head.fc.bias': torch.zeros(CLASSES)}
    torch.save({'state_dict': state}, tmp_path / 'source.pth')
    source = dict(config=str(tmp_path / 'source.py'), checkpoint=str(tmp_path / 'source.pth'))
    return dict(name='transfer', source=source)


@pytest.fixture
def make_runner(tmp_path) -> Callable[..., Runner]:
    """A linear target that gets all clean images right, with a purifier in front of it or without."""

    def make(purifier: Optional[str] = None, batch_size: int = 16) -> Runner:
        preprocessor = NATIVE if purifier is None else dict(type=purifier, **NATIVE)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(copy.deepcopy(dict(MODEL, data_preprocessor=preprocessor)))
        model.head.fc.weight.data.copy_(WEIGHT)
        model.head.fc.bias.data.zero_()
        loader = dict(batch_size=batch_size, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
        dataset = dict(type='Noise', pipeline=[dict(type='PackInputs', meta_keys=('sample_idx',))])
        return Runner(
            model,
            work_dir=str(tmp_path / 'work'),
            test_dataloader=dict(**loader, collate_fn=dict(type='default_collate'), dataset=dataset),
            test_cfg=dict(),
            test_evaluator=dict(type='Accuracy'),
            default_scope='mmpretrain',
            experiment_name=f'worst_{next(_serial)}',
            log_level='WARNING',
        )

    return make


def _run(runner: Runner, attack: dict, cache: Any = None, **settings: Any) -> tuple[dict, AttackHook]:
    hook = AttackHook(attack, cache_dir=cache, score_samples=True, stages=('test',), **settings)
    runner.register_hook(hook)
    try:
        return runner.test(), hook
    finally:
        runner.hooks.remove(hook)
        hook.close()


def test_pixels_that_nobody_has_are_not_counted(make_runner):
    attack = dict(type='WorstOf', attacks=[dict(type='Shade'), dict(type='Shade')], worst_by='miou')
    message = "worst_by='miou' is for segmentors: a classifier predicts no class for every pixel; leave it out"
    with pytest.raises(UnsupportedAttackError, match=message):
        _run(make_runner(), attack)


@pytest.mark.parametrize('layout', [torch.stack, list])
def test_by_hand(layout):
    """The lowest score counts, the first of several, and what all attacks asked."""
    images = [torch.full((3, 2, 2), float(number)) for number in range(3)]
    queries, nonfinite = torch.tensor([1, 2, 3]), torch.zeros(3, dtype=torch.int64)
    scores = {10: [1.0, 0.5, 0.0], 20: [0.5, 0.5, 0.0], 30: [0.0, 0.75, 0.0]}

    def crafter(add):
        return lambda clean, *_: Crafted(
            layout([image + add for image in clean]), queries * add, nonfinite + (add == 20), queries + add / 2
        )

    def score(adversarial):
        return SampleScores(torch.tensor(scores[int(adversarial[0].max())]))

    crafted = craft_worst([crafter(add) for add in scores], score, layout(images), [], [])
    chosen, asked = crafted.images, crafted.queries
    assert crafted.nonfinite.tolist() == [1, 1, 1]
    assert type(chosen) is type(layout(images))
    assert [int((a - b).max()) for a, b in zip(chosen, images)] == [30, 10, 10]
    assert asked.tolist() == [60, 120, 180]
    assert crafted.rise.tolist() == [1 + 15, 2 + 5, 3 + 5], 'that of the version that counts'


def counted(*images: list) -> SampleScores:
    """Scores of images with these numbers of right, true and predicted pixels of each class."""
    return SampleScores(torch.ones(len(images)), counts=torch.tensor(images, dtype=torch.float64))


def test_the_fewest_right_pixels():
    first = counted([[3, 0], [4, 1], [4, 1]], [[2, 2], [2, 3], [2, 3]])
    second = counted([[2, 1], [4, 1], [3, 2]], [[2, 1], [2, 3], [3, 2]])
    # 3 and 3 right pixels, so the first counts; then 4 and 3.
    assert lowest_accuracy([first, second]).tolist() == [0, 1]


def test_the_lowest_mean_iou_of_the_set_by_hand():
    choose = LowestMeanIoU()
    # Class 0 has IoU 3/4 against 1/4. Class 1 occurs nowhere and does not count.
    assert choose([counted([[3, 0], [4, 0], [3, 0]]), counted([[1, 0], [4, 0], [1, 0]])]).tolist() == [1]
    # With the second image, mIoU is ((1 + 3) / 8 + 1 / 2) / 2 against ((1 + 2) / 8 + 2 / 2) / 2.
    one, other = [[3, 1], [4, 2], [3, 1]], [[2, 2], [4, 2], [2, 2]]
    assert choose([counted(one), counted(other)]).tolist() == [0]
    # One wrong pixel of the larger class costs less than one of the smaller: (4 / 9 + 2 / 3) / 2, (5 / 9 + 1 / 3) / 2.
    assert choose([counted([[0, 1], [1, 1], [0, 1]]), counted([[1, 0], [1, 1], [1, 0]])]).tolist() == [1]
    # The images of a batch are chosen one after the other.
    assert LowestMeanIoU()([counted(one, one), counted(other, other)]).tolist() == [0, 0]


def test_each_image_counts_under_its_worst_attack(make_runner, tmp_path):
    """Black images are all of one class: every image of another class that some attack makes black is wrong."""
    runner = make_runner()
    black = int(_logits(torch.zeros(1, 3, SIDE, SIDE)).argmax())
    labels = [item['data_samples'].gt_label.item() for item in runner.test_dataloader.dataset]
    first, second = [index for index, label in enumerate(labels) if label != black][:2]
    attacks = [dict(type='Shade', of=(first,)), dict(type='Shade', of=(first, second)), dict(type='Shade')]
    metrics, hook = _run(runner, dict(type='WorstOf', attacks=attacks), tmp_path / 'cache')
    assert [index for index, right in enumerate(hook.samples['correct']) if not right] == [first, second]
    assert metrics['accuracy/top1'] == pytest.approx(100 * (IMAGES - 2) / IMAGES)
    # Measured is what the model was tested on: the first attack unless another one is worse.
    dark = [index for index, size in enumerate(hook.samples['linf']) if size > 1]
    assert dark == [first, second] and hook.samples['linf'].count(0.125) == IMAGES - 2
    assert metrics['perturbation/linf_max'] == max(hook.samples['linf'])
    assert hook.samples['queries'] == [2 + 3 + 1] * IMAGES and metrics['attack/queries_mean'] == 6
    # Every attack's images are kept by themselves, where that attack alone finds them.
    assert len(list((tmp_path / 'cache').rglob('*.npz'))) == 3 * IMAGES
    _run(runner, attacks[1], tmp_path / 'cache')
    assert len(list((tmp_path / 'cache').rglob('*.npz'))) == 3 * IMAGES


@pytest.mark.parametrize('purifier', [None, 'MeanFilterPurifier'])
@pytest.mark.parametrize('attack', [PGD, dict(type='DeepFool', eps=4, steps=5, fill=True)], ids=['pgd', 'deepfool'])
def test_worst_of_the_targets_on_the_tested_model(attack, purifier, make_runner, transfer):
    """An image is right only if it is right under each target; the one that the source keeps may be right."""
    runner = make_runner(purifier)
    metrics, hook = _run(runner, dict(type='EachTarget', attack=attack, num_targets=4), threat_model=transfer)
    towards = [
        _run(runner, {**attack, 'targeted': f'top_wrong_{rank}'}, threat_model=transfer)[1].samples['correct']
        for rank in range(1, 5)
    ]
    worst = np.all(towards, axis=0)
    assert hook.samples['correct'] == worst.tolist() and metrics['accuracy/top1'] == pytest.approx(100 * worst.mean())
    assert 0 < worst.sum() < min(map(sum, towards)), 'the targets differ in which images they are worst for'
    if attack is PGD:
        strongest = {**PGD, 'targeted': 'top_wrong', 'num_targets': 4}
        kept = _run(runner, strongest, threat_model=transfer)[1].samples['correct']
        assert sum(kept) > worst.sum(), 'what is strongest on the source is not on the target'


def test_restarts_draw_other_numbers_and_the_worst_counts(make_runner, transfer):
    """The first run is the attack alone; the others are that of other seeds."""
    start = dict(type='PGD', eps=4, step_size=0.5, steps=1)
    runner = make_runner()
    alone = _run(runner, start, threat_model=transfer)[1].samples
    others = [
        _run(runner, start, threat_model=transfer, seed=derive_seed(0, 'restart', number))[1].samples
        for number in (1, 2, 3)
    ]
    worst = _run(runner, dict(type='WorstOf', attacks=[start], restarts=4), threat_model=transfer)[1].samples
    rights = np.array([samples['correct'] for samples in (alone, *others)])
    assert worst['correct'] == rights.all(0).tolist() and rights.all(0).sum() < rights.sum(1).min()
    assert worst['queries'] == [4] * IMAGES
    assert len({tuple(samples['l2']) for samples in (alone, *others)}) == 4


def test_batches_do_not_matter(make_runner, transfer):
    attack = dict(type='EachTarget', attack=PGD, num_targets=3)
    first, second = (_run(make_runner(batch_size=size), attack, threat_model=transfer)[1].samples for size in (16, 40))
    assert first['correct'] == second['correct'] and first['linf'] == pytest.approx(second['linf'])


def test_each_defense_has_its_own_worst(make_runner):
    """Without and with the purifier the candidates are the same, but not which of them counts."""
    runner = make_runner('MeanFilterPurifier')
    attack = dict(type='EachTarget', attack=PGD, num_targets=3)
    ranks = [{**PGD, 'targeted': f'top_wrong_{rank}'} for rank in (1, 2, 3)]
    conditions = [Condition(str(i), a, threat_model='gray-box') for i, a in enumerate([attack, *ranks])]
    results = evaluate(runner, conditions)
    for enabled in (False, True):
        worst, *towards = (r.samples['correct'] for r in results if r.purifier == enabled)
        assert worst == np.all(towards, axis=0).tolist()
    sizes = [result.samples['l2'] for result in results[:2]]
    assert sizes[0] != sizes[1]


def test_random_numbers_of_the_tested_model_are_the_same_for_all(make_runner):
    """A model that draws at random is asked about each candidate, and then tested, with the same numbers."""
    runner = make_runner()
    drawn: list[float] = []
    handle = unwrap(runner.model).backbone.register_forward_pre_hook(
        lambda module, args: drawn.append(torch.rand(1).item())
    )
    torch.manual_seed(3)
    attacks = [dict(type='Shade'), dict(type='Shade', of=(1,))]
    _run(runner, dict(type='WorstOf', attacks=attacks))
    handle.remove()
    batches = [drawn[at : at + 3] for at in range(0, len(drawn), 3)]
    assert len(batches) == 3 and all(len(set(batch)) == 1 for batch in batches)
    assert len(set(drawn)) == 3


def test_what_one_of_them_cannot_run_on(make_runner):
    attack = dict(type='WorstOf', attacks=[dict(type='Shade'), dict(type='DeepFool', eps=4, norm='linf')])
    with pytest.raises(UnsupportedAttackError, match='WorstOf needs gradients, which a query attacker does not have'):
        _run(make_runner(), attack, threat_model='query')


def test_classes_are_fewer_than_targets(make_runner, tmp_path):
    """Nine wrong classes, and no tenth target."""
    attack = dict(type='EachTarget', attack=dict(type='FGSM', eps=1), num_targets=30)
    _run(make_runner(), attack, tmp_path / 'cache')
    assert len(list(Path(tmp_path / 'cache').rglob('*.npz'))) == 9 * IMAGES


def test_segmentors_count_by_the_mean_iou_of_an_image():
    """Of dense tasks the image with the lowest score counts, that of ``samples.csv``."""
    pytest.importorskip('mmseg')
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(str(Path(__file__).parents[2] / 'configs' / 'target' / 'light_pspnet_camvid.py')).eval()
    images = [torch.rand(3, 32, 40, generator=torch.Generator().manual_seed(seed)) * 255 for seed in (0, 1)]
    size = dict(img_shape=(32, 40), ori_shape=(32, 40))

    def samples(masks):
        return [SegDataSample(metainfo=size, gt_sem_seg=PixelData(data=mask)) for mask in masks]

    task = task_of(model)
    with torch.no_grad():
        found = model.test_step(dict(inputs=images, data_samples=samples(torch.zeros(2, 1, 32, 40, dtype=torch.long))))
    masks = [sample.pred_sem_seg.data.clone() for sample in found]
    masks[1][:] = (masks[1] + 1) % 11
    given = samples(masks)
    assert scores_in_test(model, task, given, True, True, False, images).score.tolist() == [1.0, 0.0]
    assert 'pred_sem_seg' not in given[0], 'the samples of the loader are left alone'
