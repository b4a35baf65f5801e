"""``tools/build_patches.py``, and ``tools/test.py`` with purifiers that need no training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmadvdefense.datasets import HandwrittenDigits
from mmadvdefense.purifiers import PatchDatabase

pytest.importorskip('mmpretrain')
DIGITS = Path(__file__).parents[2] / 'configs' / 'target' / 'digits_target.py'
BGR = ('--channel-order', 'bgr')


@pytest.fixture
def defended(tmp_path):
    """The digits' target with another preprocessor: one line."""

    def write(line: str) -> Path:
        path = tmp_path / 'defended.py'
        path.write_text(
            f"_base_ = '{DIGITS}'\n{line}\n"
            'test_dataloader = dict(num_workers=0, batch_size=4, dataset=dict(indices=7))\n'
        )
        return path

    return write


def test_patches_of_the_training_images(run_tool, tmp_path):
    out = tmp_path / 'new' / 'patches.pth'
    done = run_tool('build_patches', DIGITS, out, *BGR, '--count', 50, '--images', 20, '--patch-size', 4)
    assert done.code == 0, done.err[-3000:]
    assert f'60 patches of 20 images written to {out}' in done.out
    database = PatchDatabase.load(out)
    assert database.patches.shape == (60, 3, 4, 4) and database.channel_order == 'bgr'
    # Without the augmentation of training, whose shift would leave padding: the first three are of the first image.
    first = HandwrittenDigits(split='train', pipeline=[])[0]['img']
    windows = {first[row : row + 4, column : column + 4, 0].tobytes() for row in range(29) for column in range(29)}
    assert all(patch[0].numpy().tobytes() in windows for patch in database.patches[:3])
    again = run_tool('build_patches', DIGITS, out, *BGR, '--count', 3, '--images', 1, '--seed', 5)
    assert again.code == 0 and len(PatchDatabase.load(out).patches) == 3


def test_wrapped_training_sets(run_tool, tmp_path):
    """A concatenation of repeated sets: wrappers and their pipelines are left out."""
    config = tmp_path / 'wrapped.py'
    config.write_text(
        f"_base_ = '{DIGITS}'\n"
        "part = dict(type='HandwrittenDigits', split='train', indices=3, pipeline=[dict(type='NoSuchTransform')])\n"
        "repeated = dict(type='RepeatDataset', times=9, dataset=part)\n"
        "train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[repeated, part]))\n"
    )
    done = run_tool('build_patches', config, tmp_path / 'patches.pth', *BGR, '--count', 1)
    assert '6 patches of 6 images' in done.out, done.err[-3000:]


def test_mistakes_end_in_one_line(run_tool, defended, target_checkpoint, tmp_path):
    silent = run_tool('build_patches', DIGITS, tmp_path / 'patches.pth')
    assert 'does not say how images are loaded; use --channel-order' in silent.error
    assert run_tool('build_patches', DIGITS, tmp_path / 'patches.pth', *BGR, '--count', 0).code == 2
    large = run_tool('build_patches', DIGITS, tmp_path / 'patches.pth', *BGR, '--patch-size', 40)
    assert 'an image of 32 x 32 pixels is too small for patches of 40 x 40' in large.error
    assert not (tmp_path / 'patches.pth').exists()
    for line, message in (
        ("type='QuiltingPurifier', channel_order='bgr'", 'QuiltingPurifier needs patches'),
        ("type='JPEGPurifier'", "JPEGPurifier needs channel_order='bgr' or 'rgb'"),
        ("type='PurifierChain', purifiers=[]", 'needs at least one purifier'),
        ("type='PurifierChain', purifiers=[dict(type='JPGPurifier')]", 'did you mean JPEGPurifier'),
    ):
        failed = run_tool('test', defended(f'data_preprocessor = dict({line})'), target_checkpoint)
        assert message in failed.error


def test_tested_with_the_target_s_own_checkpoint(run_tool, defended, target_checkpoint, tmp_path):
    patches, out = tmp_path / 'patches.pth', tmp_path / 'results.json'
    assert run_tool('build_patches', DIGITS, patches, *BGR, '--count', 200, '--images', 20).code == 0
    members = f"[dict(type='QuiltingPurifier', patches='{patches}'), dict(type='RandomResizePadPurifier')]"
    config = defended(f"data_preprocessor = dict(type='PurifierChain', channel_order='bgr', purifiers={members})")
    done = run_tool('test', config, target_checkpoint, '--attack', 'FGSM', '--eps', 8, '--out', out)
    assert done.code == 0, done.err[-3000:]
    results = json.loads(out.read_text())['results']
    assert [result['purifier'] for result in results] == [False, True, False, True]
    psnr = [result['measured']['purified/psnr'] for result in results]
    assert psnr[0] is None and 5 < psnr[1] < 40 and psnr[3] != psnr[2], 'the chain is at work'
