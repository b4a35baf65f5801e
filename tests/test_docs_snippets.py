"""The Python blocks of the documentation run exactly as written, on a small classifier of real digits."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.nn import functional as F

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.models import build_model
from mmadvdefense.registry import ATTACKS, MODELS
from mmadvdefense.training import recipes

pytest.importorskip('mmpretrain')

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').glob('*.md')]
    if '```python' in path.read_text()
)


def sources(page: str) -> list[str]:
    """The Python blocks of a page, each at its own lines."""
    text = (ROOT / page).read_text()
    found = re.finditer(r'^( *)```python[^\n]*\n(.*?)^\1```$', text, re.MULTILINE | re.DOTALL)
    return ['\n' * text[: match.start(2)].count('\n') + dedent(match[2]) for match in found]


def blocks(page: str) -> list:
    """The Python blocks of a page, compiled so that a traceback names their lines in it."""
    return [compile(code, str(ROOT / page), 'exec', dont_inherit=True) for code in sources(page)]


def namespace(page: str) -> dict:
    """The names that a page's blocks define, run one after another."""
    names: dict = {}
    for block in blocks(page):
        exec(block, names)
    return names


@pytest.fixture(autouse=True)
def _own_registries(monkeypatch):
    """Classes that the pages register are gone after each test."""
    for registry in (ATTACKS, MODELS):
        monkeypatch.setattr(registry, '_module_dict', dict(registry._module_dict))


@pytest.fixture
def clone_after_demo(tmp_path, monkeypatch):
    """A working directory that looks as if `make demo` had been run in it."""
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    checkpoint = tmp_path / 'work_dirs' / 'demo' / 'cls' / 'target' / 'epoch_10.pth'
    checkpoint.parent.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(Config.fromfile('configs/target/digits_target.py'))
        # As decisive as a trained model.
        torch.nn.init.normal_(model.head.fc.weight)
    torch.save(dict(state_dict=model.state_dict()), checkpoint)


@pytest.mark.parametrize('page', PAGES)
def test_blocks_are_python(page):
    assert blocks(page)


def test_python_api(clone_after_demo, capsys):
    names = namespace('docs/python_api.md')
    model, images = names['model'], names['images']
    purifier = names['protected_model'].data_preprocessor
    labels = torch.cat([sample.gt_label for sample in names['samples']])
    assert images.shape == (16, 3, 32, 32) and 200 < images.max() <= 255

    def loss(adversarial, purified):
        source = AttackSource(model, defense=purifier.clean if purified else None)
        with torch.no_grad():
            return F.cross_entropy(source.logits(adversarial), labels).item()

    printed = re.fullmatch(
        r'PGD \(L-inf 8, 10 steps\): (\d+) of 16 correct, 10 queries for .*\n', capsys.readouterr().out
    )
    assert printed, 'what the page prints'
    for name in ('unaware', 'adaptive', 'from_corner'):
        adversarial = names[name]
        assert (adversarial - images).abs().max() <= 8 + 1e-4 and 0 <= adversarial.min() <= adversarial.max() <= 255
        purified = name == 'adaptive'
        assert loss(adversarial, purified) > loss(images, purified) + 0.01
    # Each attacker is strongest against the model that it attacked.
    assert loss(names['adaptive'], True) > loss(names['unaware'], True)
    assert loss(names['unaware'], False) > loss(names['adaptive'], False)
    torch.testing.assert_close(names['unaware'], names['result'].images, rtol=0, atol=0)
    expected = purifier.purify(names['result'].images)
    seen = torch.stack([torch.from_numpy(own.image).permute(2, 0, 1) for own in names['purified']])
    torch.testing.assert_close(seen.float(), expected.round(), rtol=0, atol=0)
    assert purifier.native is model.data_preprocessor and len(names['protected']) == 16
    certificate = names['certificate']
    assert (certificate.label is None) == (certificate.radius == 0) and 0 <= certificate.votes <= 500
    assert names['corner'].describe() == 'CornerStart (L-inf 8, 10 steps, 2 restarts)'
    start = names['corner'].start(images, Randomness(3))
    assert ((start - images).abs() == 8).float().mean() > 0.99


def test_the_first_prediction(tmp_path, monkeypatch):
    """README's own example, which needs neither data nor training, finds the cells."""
    pytest.importorskip('mmdet')
    (block,) = [code for code in sources('README.md') if 'zoo://light_ssd_bccd' in code]
    monkeypatch.chdir(tmp_path)
    for name in ('configs', 'docs'):
        (tmp_path / name).symlink_to(ROOT / name)
    names: dict = {}
    exec(block, names)
    (found,) = names['results']['predictions']
    labels = [label for label, score in zip(found['labels'], found['scores']) if score >= 0.3]
    # 14 red cells, one white one and one platelet are annotated.
    assert set(labels) == {0, 1, 2} and labels.count(1) == labels.count(2) == 1 and 9 <= labels.count(0) <= 14
    assert (tmp_path / 'work_dirs' / 'cells' / 'vis' / 'blood_cells.jpg').is_file()


def test_contributed_attack(tiny_classifier, image_batch):
    names = namespace('CONTRIBUTING.md')
    attack = build_attack(dict(type='SparseStep', eps=8, step_size=8, steps=1))
    source = AttackSource(tiny_classifier)
    adversarial = attack(source, image_batch.images, image_batch.samples, Randomness(0))
    with source.undisturbed():
        images = image_batch.images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(source.logits(images), image_batch.labels), images)
    large = gradient.abs() > gradient.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
    expected = (image_batch.images + 8 * gradient.sign() * large).clamp(0, 255)
    assert 0.1 < large.float().mean() < 0.6
    torch.testing.assert_close(adversarial, expected, rtol=0, atol=1e-4)
    assert names['SparseStep'] is type(attack)


def test_contributed_loss():
    namespace('CONTRIBUTING.md')

    class Batch:
        @staticmethod
        def pixels(name):
            value = dict(clean=0.0, purified_clean=0.5, purified_adversarial=0.75)[name]
            return torch.full((2, 3, 4, 4), value)

    loss = MODELS.build(
        dict(type='SquaredPixelLoss', clean_guide='clean', adv_guide='purified_clean', loss_weight=50.0)
    )
    assert loss.terms(Batch()) == dict(loss_squared_clean=50 * 0.25, loss_squared_adv=50 * 0.0625)


def test_contributed_task(tiny_classifier, image_batch):
    task = namespace('CONTRIBUTING.md')['MultiLabelTask'](tiny_classifier)
    scores = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1]] * 3)
    samples = [type(sample)().set_gt_score(score) for sample, score in zip(image_batch.samples, scores)]
    source = AttackSource(tiny_classifier, task=task)
    attack = build_attack(dict(type='BIM', eps=8, step_size=2, steps=5))
    adversarial = attack(source, image_batch.images, samples, Randomness(0))

    def loss(images):
        with source.undisturbed(), torch.no_grad():
            logits = source.logits(images).double()
        signed = torch.where(scores == 1, -logits, logits)
        return signed.exp().log1p().sum(1)

    assert (loss(adversarial) > loss(image_batch.images)).all()
    with source.undisturbed(), torch.no_grad():
        logits = source.logits(image_batch.images)
    torch.testing.assert_close(task.cross_entropy(logits, scores).double(), loss(image_batch.images), rtol=0, atol=1e-4)


def test_contributed_purifier():
    namespace('CONTRIBUTING.md')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        purifier = MODELS.build(dict(type='ErosionPurifier', mean=[0.0] * 3, std=[1.0] * 3))
    image = torch.arange(48.0).view(3, 4, 4)
    expected = image[:, [[0], [0], [1], [2]], [0, 0, 1, 2]]
    torch.testing.assert_close(purifier.purify(image[None])[0], expected, rtol=0, atol=0)
    cleaned = purifier(dict(inputs=[image.byte(), image[:, :3].byte()]))['inputs']
    torch.testing.assert_close(cleaned[0], expected, rtol=0, atol=0)


def test_contributed_trained_purifier(train, tmp_path, monkeypatch, quick_runners):
    """The page's three files, in the folder of the command, train by the one line."""
    found = sources('CONTRIBUTING.md')
    first = next(index for index, text in enumerate(found) if 'class TinyAPEGANPurifier' in text)
    for name, text in zip(('my_ape_gan', 'my_recipe', 'my_config'), found[first:]):
        (tmp_path / f'{name}.py').write_text(text)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    config = Config.fromfile('my_config.py')
    recipes.complete_training(config)
    assert config.data_preprocessor.discriminator.type == 'APEGANDiscriminator'
    (hook,) = config.custom_hooks
    runner, spy = train(
        hook=dict(hook),
        data_preprocessor=dict(_delete_=True, **config.data_preprocessor),
        optim_wrapper=dict(_delete_=True, **config.optim_wrapper),
    )
    assert [set(logged) >= {'loss_mse_adv', 'loss_gan_generator'} for logged in spy.outputs] == [True, True]
    assert ['loss_gan_discriminator' in logged for logged in spy.outputs] == [True, False]
    assert isinstance(runner.model.data_preprocessor, sys.modules['my_ape_gan'].TinyAPEGANPurifier)
