"""``tools/test.py`` from the command line: its flags, its table and file of results, and two processes."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[2]


def _rows(out: str) -> dict[str, list[str]]:
    lines = [[cell.strip() for cell in line.strip('|').split('|')] for line in out.splitlines() if line[:1] == '|']
    return {cells[0]: cells[1:] for cells in lines}


def _threat(result: dict) -> dict:
    """The threat model of a result with its settings, empty for clean images."""
    return result['condition']['threat_model'] or {}


def _results(path: Path) -> dict:
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f'{name} is no JSON'))


def test_a_source_that_holds_more_than_data_has_to_be_trusted(run_tool, config, trained, tmp_path, save_target):
    state = torch.load(save_target(seed=9))
    state['hyper_parameters'] = argparse.Namespace(depth=10)
    torch.save(state, tmp_path / 'source.pth')
    other = ROOT / 'configs' / 'target' / 'digits_target.py'
    call = ('test', config, trained, '--attack', 'FGSM', '--eps', 8, '--source', other, tmp_path / 'source.pth')
    refused = run_tool(*call)
    assert 'argparse.Namespace' in refused.error and '--trust-checkpoint' in refused.error
    assert run_tool(*call, '--trust-checkpoint').code == 0


def test_an_ensemble_brings_its_checkpoints(run_tool, child, config, trained, tmp_path):
    members = [dict(config=str(config), checkpoint=str(trained))] * 2
    ensemble = child('ensemble', f"model = dict(_delete_=True, type='DefendedEnsemble', members={members})\n")
    ensemble.write_text(ensemble.read_text() + 'data_preprocessor = dict(_delete_=True, num_classes=10)\n')
    call = ('test', ensemble, '--attack', 'FGSM', '--eps', 8)
    one = run_tool('test', config, trained, *call[2:], '--out', tmp_path / 'one.json')
    two = run_tool(*call, '--out', tmp_path / 'two.json')
    assert one.code == two.code == 0, two.err[-3000:]
    # Twice the same member is that member.
    alone, both = (_results(tmp_path / f'{name}.json')['results'] for name in ('one', 'two'))
    assert [row['metrics'] for row in alone] == [row['metrics'] for row in both] and len(both) == 4
    assert 'members have checkpoints of their own' in run_tool('test', ensemble, trained, *call[2:]).error
    assert 'give the checkpoint of' in run_tool('test', config, *call[2:]).error


def test_sizes_as_in_papers_and_missing_steps(run_tool, tmp_path):
    call = ('test', 'config.py', 'a.pth', '--attack', 'PGD', '--eps')
    fraction = run_tool(*call, '8/255')
    assert "argument --eps: '8/255' is not a number of pixels (0-255); 8/255 of papers is 8" in fraction.err
    torch.save({'state_dict': {}}, tmp_path / 'a.pth')
    assert 'PGD: give steps and step_size, such as' in run_tool(*call, 8, '--work-dir', tmp_path).error


def test_the_worst_of_several_targets(run_tool, config, trained, tmp_path):
    """By a flag or by a config, whose settings the command line changes."""
    (tmp_path / 'attack.py').write_text(
        "attack = dict(type='EachTarget', attack=dict(type='BIM', eps=9, step_size=4, steps=2), num_targets=9)"
    )
    ours, theirs = tmp_path / 'ours.json', tmp_path / 'theirs.json'
    call = ('--eps', 8, '--num-targets', 2, '--work-dir', tmp_path / 'work', '--out')
    steps = ('--targeted', 'top_wrong', '--step-size', 4, '--steps', 2)
    done = run_tool('test', config, trained, '--attack', 'BIM', *steps, *call, ours)
    assert done.code == 0, done.err[-3000:]
    assert list(_rows(done.out))[3] == 'BIM, worst of 2 targets, gray-box'
    same = run_tool('test', config, trained, '--attack', tmp_path / 'attack.py', *call, theirs)
    assert same.code == 0, same.err[-3000:]
    assert [row['scores'] for row in _results(ours)['results']] == [
        row['scores'] for row in _results(theirs)['results']
    ]
    measured = _results(ours)['results'][2]['measured']
    assert measured['attack/queries_mean'] == 2 * 2 and measured['perturbation/linf_max'] == pytest.approx(8)
    assert '--num-targets' in run_tool('test', config, trained, '--num-targets', 2).error
    random = run_tool('test', config, trained, '--attack', 'BIM', *call[:4], '--targeted')
    assert "omit 'targeted' there" in random.error


@pytest.mark.usefixtures('hooks_for_tests')
def test_table_and_file(run_tool, config, trained, tmp_path, save_target):
    source = save_target(seed=9)
    other = ROOT / 'configs' / 'target' / 'digits_target.py'
    out = tmp_path / 'results' / 'out.json'
    done = run_tool(
        'test', config, trained, '--attack', 'PGD', '--eps', 8, '--step-size', 3, '--steps', 2, '--targeted',
        'least_likely', '--source', other, source, '--seed', 4, '--quantize', '--out', out,
        '--work-dir', tmp_path / 'work',
    )  # fmt: skip
    assert done.code == 0, done.err[-3000:]
    rows = _rows(done.out)
    assert list(rows)[2:] == ['clean', 'PGD, gray-box', 'PGD, transfer from digits_target']
    assert rows['images'][0] == rows['images'][1] == 'accuracy/top1'

    written = _results(out)
    assert {name: written[name] for name in ('format', 'version', 'config', 'checkpoint', 'seed', 'quantized')} == {
        'format': 'mmadvdefense results',
        'version': 2,
        'config': str(config),
        'checkpoint': str(trained),
        'seed': 4,
        'quantized': True,
    }
    results = written['results']
    assert [(_threat(result).get('name'), result['purifier']) for result in results] == [
        (model, purifier) for model in (None, 'gray-box', 'transfer') for purifier in (False, True)
    ]
    attack = results[2]['condition']['attack']
    assert attack == {'type': 'PGD', 'eps': 8.0, 'step_size': 3.0, 'steps': 2, 'targeted': 'least_likely'}
    assert _threat(results[4])['source'] == {'config': str(other), 'checkpoint': source, 'trust': False}
    for result in results:
        assert 0 <= result['metrics']['accuracy/top1'] <= 100
        measured = result['measured']
        names = {'perturbation/linf_mean', 'perturbation/linf_max', 'perturbation/l2_mean', 'perturbation/l2_max'}
        noted = {'attack/queries_mean', 'attack/queries_max', 'attack/nonfinite_images'}
        queries = noted if result['condition']['attack'] else set()
        queries = queries | ({'source/digits_target'} if _threat(result).get('source') else set())
        assert set(measured) == names | queries | {'purified/psnr'}
        assert result['scores']['correct'] == pytest.approx(result['metrics']['accuracy/top1'])
        assert result['scores']['images'] == 7
        assert measured['perturbation/linf_max'] == round(measured['perturbation/linf_max']) <= 8, 'whole pixels'
    assert rows['PGD, gray-box'][0] == f'{results[2]["metrics"]["accuracy/top1"]:.2f}'
    assert rows['PGD, gray-box'][1] == f'{results[3]["metrics"]["accuracy/top1"]:.2f}'
    assert rows['PGD, gray-box'][5] == '2.0' and rows['clean'][5] == '-', 'queries'
    assert results[2]['measured']['perturbation/l2_mean'] != results[4]['measured']['perturbation/l2_mean']
    assert not (tmp_path / 'results').joinpath('.out.json').exists() and len(list(out.parent.iterdir())) == 1


def test_attack_config_and_no_purifier(run_tool, config, trained, target_checkpoint, tmp_path):
    """The settings of the command line beat those of the file. Without its purifier no model has to be trained."""
    attack = ROOT / 'configs' / 'attacks' / 'bim.py'
    out = tmp_path / 'out.json'
    common = ('--attack', attack, '--steps', 1, '--no-purifier', '--out', out, '--work-dir', tmp_path / 'work',
              '--threat-model', 'gray-box', 'adaptive')  # fmt: skip
    undefended = run_tool('test', config, target_checkpoint, *common)
    assert undefended.code == 0, undefended.err[-3000:]
    results = _results(out)['results']
    assert [result['purifier'] for result in results] == [False, False]
    assert results[1]['condition']['attack'] == {'type': 'BIM', 'eps': 8, 'step_size': 2, 'steps': 1}
    assert results[1]['measured']['perturbation/linf_max'] == pytest.approx(2, abs=1e-4)
    rows = _rows(undefended.out)
    assert list(rows)[2:] == ['clean', 'BIM, gray-box'] and rows['BIM, gray-box'][1] == '-', 'the same as adaptive'

    # A config without any purifier.
    plain = run_tool('test', ROOT / 'configs' / 'target' / 'digits_target.py', target_checkpoint, '--cfg-options',
                     'test_dataloader.dataset.indices=7', 'test_dataloader.num_workers=0', *common)  # fmt: skip
    assert plain.code == 0, plain.err[-3000:]
    same = _results(out)['results']
    assert [result['metrics'] for result in same] == [result['metrics'] for result in results]
    assert [result['measured'] for result in same] == [result['measured'] for result in results]


def test_threat_models(run_tool, config, trained, tmp_path):
    """Without the purifier there is nothing to adapt to, so the attacker is gray-box, once."""
    out, purifier = tmp_path / 'out.json', tmp_path / 'purifier.pth'
    assert run_tool('export_purifier', config, trained, purifier).code == 0
    common = (config, trained, '--eps', 8, '--out', out, '--work-dir', tmp_path / 'work')
    names = ('adaptive', 'adaptive-bpda', 'adaptive-substitute')
    done = run_tool(
        'test', *common, '--attack', 'PGD', '--step-size', 3, '--steps', 2, '--threat-model', *names,
        '--substitute', purifier,
    )  # fmt: skip
    assert done.code == 0, done.err[-3000:]
    rows = _rows(done.out)
    assert list(rows)[2:] == ['clean', 'PGD, adaptive', *(f'PGD, {name} with purifier' for name in names[1:])]
    assert rows['PGD, adaptive'][0] != '-' and rows['PGD, adaptive'][1] != '-'
    assert rows[f'PGD, {names[1]} with purifier'][0] == rows[f'PGD, {names[2]} with purifier'][0] == '-'
    results = _results(out)['results']
    assert [_threat(result).get('name') for result in results] == [None, None, 'gray-box', *names]
    assert [result['purifier'] for result in results[2:]] == [False, True, True, True]
    assert [_threat(result)['substitute'] for result in results[4:]] == [str(purifier)] * 2
    # Its own purifier is the substitute.
    for name, value in results[3]['measured'].items():
        for result in results[4:]:
            assert result['measured'][name] == pytest.approx(value, rel=1e-4), name


@pytest.mark.skipif(sys.platform == 'darwin', reason='gloo resolves no host name there')
def test_two_processes_score_as_one(run_tool, run_forked, config, trained, tmp_path):
    arguments = (config, trained, '--attack', 'PGD', '--eps', 8, '--step-size', 4, '--steps', 2)
    one = run_tool('test', *arguments, '--out', tmp_path / 'one.json', '--work-dir', tmp_path / 'one')
    assert one.code == 0, one.err[-3000:]
    options = ('--launcher', 'pytorch', '--out', tmp_path / 'two.json', '--work-dir', tmp_path / 'two')
    two = run_forked('test', *arguments, *options, ranks=2)
    assert two.code == 0, two.err[-3000:]
    assert _rows(one.out).keys() == _rows(two.out).keys()
    for ours, theirs in zip(_results(tmp_path / 'two.json')['results'], _results(tmp_path / 'one.json')['results']):
        assert ours['condition'] == theirs['condition'] and ours['purifier'] == theirs['purifier']
        assert ours['metrics'] == theirs['metrics']
        for name, value in theirs['measured'].items():
            # An average of seven images: the eighth, with which the second process is filled up, does not count.
            assert ours['measured'][name] == (value and pytest.approx(value, rel=1e-3)), name


def test_mistakes_end_in_one_line(run_tool, config, child, trained, target_checkpoint, save_target, tmp_path):
    other = ROOT / 'configs' / 'target' / 'digits_target.py'
    torch.save({'state_dict': {'some.weight': torch.zeros(2)}}, tmp_path / 'foreign.pth')
    (tmp_path / 'text.pth').write_text('hello')
    (tmp_path / 'empty.py').write_text('eps = 8\n')
    (tmp_path / 'seven.py').write_text(f"_base_ = '{other}'\nmodel = dict(head=dict(num_classes=7))\n")
    pgd = ('--attack', 'PGD', '--eps', 8, '--step-size', 2, '--steps', 1)
    wider = child('wider', 'data_preprocessor = dict(generator=dict(base_channels=6))')
    cases = {
        'checkpoint not found: .*nowhere.pth': [config, tmp_path / 'nowhere.pth'],
        r'text\.pth is not a checkpoint': [config, tmp_path / 'text.pth'],
        'nothing for this model': [config, tmp_path / 'foreign.pth'],
        'trained for 7 classes, the target has 10': [config, save_target(num_classes=7)],
        'AlignPurifier is untrained': [config, target_checkpoint],
        'trained with another generator than': [wider, trained],
        'PGD: eps .* must be >= 0, got -1': [config, trained, '--attack', 'PGD', '--eps', -1, '--steps', 1],
        '--attack PGD needs --eps': [config, trained, '--attack', 'PGD'],
        'PGD: give steps, such as': [config, trained, '--attack', 'PGD', '--eps', 8, '--step-size', 2],
        'PGD: give step_size, such as': [config, trained, '--attack', 'PGD', '--eps', 8, '--steps', 2],
        "unknown attack 'PGDD'; did you mean PGD": [config, trained, '--attack', 'PGDD', '--eps', 8],
        'need --attack': [config, trained, '--eps', 8],
        '--eot-samples need --attack': [config, trained, '--threat-model', 'query'],
        'PGD needs gradients, which a query attacker does not have': [config, trained, *pgd, '--threat-model', 'query'],
        'AlignPurifier is not random': [config, trained, *pgd, '--threat-model', 'adaptive-eot'],
        '--eot-samples is for --threat-model adaptive-eot': [config, trained, *pgd, '--eot-samples', 3],
        '--substitute is for --threat-model adaptive-bpda': [config, trained, *pgd, '--substitute', trained],
        '--source is for --threat-model transfer': [
            config, trained, *pgd, '--source', other, trained, '--threat-model', 'gray-box'
        ],
        "'transfer' needs another model": [config, trained, *pgd, '--threat-model', 'transfer'],
        "'adaptive-substitute' needs the attacker's own purifier": [
            config, trained, *pgd, '--threat-model', 'adaptive-substitute'
        ],
        'substitute purifier not found: nowhere.pth': [
            config, trained, *pgd, '--threat-model', 'adaptive-bpda', '--substitute', 'nowhere.pth'
        ],
        r'trained\.pth is not a purifier export': [
            config, trained, *pgd, '--threat-model', 'adaptive-bpda', '--substitute', trained
        ],
        '--no-purifier leaves nothing to attack for adaptive-substitute': [
            config, trained, *pgd, '--threat-model', 'adaptive-substitute', '--substitute', trained, '--no-purifier'
        ],
        "'white-box' could mean two attackers: 'gray-box' .* 'adaptive'": [
            config, trained, *pgd, '--threat-model', 'white-box'
        ],
        "'adaptive-full' is called 'adaptive'": [config, trained, *pgd, '--threat-model', 'gray-box', 'adaptive-full'],
        "unknown threat model 'adaptiv'; did you mean adaptive": [config, trained, *pgd, '--threat-model', 'adaptiv'],
        'attack config not found: nowhere.py': [config, trained, '--attack', 'nowhere.py'],
        r'defines no attack=dict': [config, trained, '--attack', tmp_path / 'empty.py'],
        'config of the source not found: nowhere.py': [config, trained, *pgd, '--source', 'nowhere.py', trained],
        'checkpoint of the source not found: nowhere.pth': [config, trained, *pgd, '--source', other, 'nowhere.pth'],
        'the attack source predicts 7 classes, the target 10': [
            config, trained, *pgd, '--source', tmp_path / 'seven.py', save_target(num_classes=7)
        ],
        'has 3 classes, ImageClassifier predicts 10': [
            child('three', "test_dataloader = dict(dataset=dict(metainfo=dict(classes=['a', 'b', 'c'])))"), trained
        ],
    }  # fmt: skip
    out = tmp_path / 'out.json'
    for message, arguments in cases.items():
        done = run_tool('test', *arguments, '--out', out, '--work-dir', tmp_path / 'work')
        assert re.search(message, done.error), f'{message}: {done.error}'
        assert not out.exists()
    left = [path for path in (tmp_path / 'work').iterdir() if path.name.startswith('adversarial-')]
    assert not left, 'the cache goes with the run'
