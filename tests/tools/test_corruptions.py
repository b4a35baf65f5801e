"""Natural corruptions by the tools: a row for each, their mean, and no attacker."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mmadvdefense.attacks.external import corruptions

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]

GRID = """
target = dict(config='{root}/configs/target/digits_target.py', checkpoint='{checkpoint}')
defenses = dict(none=dict(), bits=dict(data_preprocessor=dict(type='BitDepthPurifier', bits=2)))
attacks = dict(
    FGSM=dict(type='FGSM', eps=1),
    natural=dict(type='ImageNetC', severity=[1, 5], corruptions=['contrast', 'gaussian_noise']))
threat_models = ['gray-box', 'natural']
num_images = 5
num_examples = 0
test_dataloader = dict(batch_size=4, num_workers=0)
"""


@pytest.fixture
def library():
    pytest.importorskip('imagecorruptions')


def test_by_name(library, run_tool, config, trained, tmp_path):
    out = tmp_path / 'out.json'
    call = ('test', config, trained, '--out', out, '--work-dir', tmp_path / 'work', '--attack')
    (tmp_path / 'attack.py').write_text(
        "attack = dict(type='ImageNetC', corruptions=['contrast', 'jpeg_compression'], severity=2)"
    )
    done = run_tool(*call, tmp_path / 'attack.py', '--severity', 1, 3)
    assert done.code == 0, done.err[-3000:]
    report = json.loads(out.read_text())['results']
    names = [f'{kind} {severity}, natural' for kind in ('contrast', 'jpeg_compression') for severity in (1, 3)]
    assert [row['condition']['name'] for row in report[::2]] == ['clean', *names]
    assert report[-1]['condition']['attack'] == {'type': 'Corruption', 'corruption': 'jpeg_compression', 'severity': 3}
    assert report[-1]['condition']['threat_model'] == {'name': 'natural'}
    means = [sum(row['metrics']['accuracy/top1'] for row in report[start::2]) / 4 for start in (2, 3)]
    shown = next(line for line in done.out.splitlines() if 'mean of 4 corruptions' in line)
    assert [cell.strip() for cell in shown.split('|')[2:4]] == [f'{value:.2f}' for value in means]

    one = run_tool(*call, 'Corruption', '--corruption', 'contrast', '--severity', 3)
    assert one.code == 0 and 'mean of' not in one.out
    same = json.loads(out.read_text())['results'][2]
    assert same['condition']['name'] == 'Corruption, natural' and same['measured'] == report[4]['measured']


def test_in_a_grid(library, run_tool, target_checkpoint, tmp_path):
    (tmp_path / 'grid.py').write_text(GRID.format(root=ROOT, checkpoint=target_checkpoint))
    done = run_tool('robustness', tmp_path / 'grid.py', '--work-dir', tmp_path / 'run')
    assert done.code == 0, done.err[-3000:]
    report = json.loads((tmp_path / 'run' / 'report.json').read_text())
    members = [f'natural: {kind} {severity}' for kind in ('contrast', 'gaussian_noise') for severity in (1, 5)]
    assert report['threat_models']['natural']['attacks'] == members
    assert report['threat_models']['gray-box']['attacks'] == ['FGSM']
    titles = {name: about['title'] for name, about in report['attacks'].items()}
    assert titles['natural: gaussian_noise 5'] == 'Corruption (gaussian noise, severity 5)'
    assert {row['threat_model'] for row in report['worst_case']} == {'gray-box'}
    # Both defenses met the same images.
    sizes = {}
    for cell in report['cells']:
        sizes.setdefault((cell['threat_model'], cell['condition']['name']), []).append(cell['measured'])
    for key, (none, bits) in sizes.items():
        assert none['perturbation/l2_mean'] == bits['perturbation/l2_mean'], key
    assert (
        sizes['natural', members[3]][0]['perturbation/l2_mean']
        > sizes['natural', members[2]][0]['perturbation/l2_mean']
    )
    table = done.out.split('\nnatural\n')[1].split('\n\n')[0]
    assert re.search(r'\| clean +\|.*\n\| mean of 4 corruptions +\|.*\n\| natural: contrast 1 ', table)
    page = (tmp_path / 'run' / 'report.html').read_text()
    assert 'mean of 4 corruptions' in page and 'the attacker is nobody' in (tmp_path / 'run' / 'report.md').read_text()


def test_mistakes_end_in_one_line(run_tool, config, trained, tmp_path, monkeypatch):
    call = ('test', config, trained, '--work-dir', tmp_path / 'work')
    missing = run_tool(*call, '--attack', 'ImageNetC') if not _installed() else None
    if missing is not None:
        assert "pip install 'mmadvdefense[corruptions]'" in missing.error
    monkeypatch.setattr(corruptions, '_library', lambda: None)
    fog = ('--attack', 'Corruption', '--corruption', 'fog')
    cases = {
        'Corruption: unknown corruption .smog.; did you mean fog': ('--attack', 'Corruption', '--corruption', 'smog'),
        'severity is an integer from 1 to 5, got 7': (*fog, '--severity', 7),
        "Corruption is no attack; use threat model 'natural'": (*fog, '--threat-model', 'gray-box'),
        "FGSM is an attack, and 'natural' has no attacker: it takes Corruption": (
            '--attack', 'FGSM', '--eps', 8, '--threat-model', 'natural'
        ),
        "ImageNetC: .*unexpected keyword argument 'eps'": ('--attack', 'ImageNetC', '--eps', 8),
    }  # fmt: skip
    for message, arguments in cases.items():
        assert re.search(message, run_tool(*call, *arguments).error), message


def _installed() -> bool:
    try:
        import imagecorruptions  # noqa: F401
    except ImportError:
        return False
    return True
