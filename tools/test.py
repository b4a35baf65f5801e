"""Test a model on clean and adversarial images, without and with its purifier."""

from __future__ import annotations

import argparse
import inspect
import platform
from pathlib import Path
from typing import Optional, Sequence

import torch
from _common import UsageError, add_common_arguments, load_config, pixels, require_checkpoint, run
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmadvdefense import __version__
from mmadvdefense.attacks import attack_names, attack_settings, build_attack
from mmadvdefense.attacks.objectives import WORDS
from mmadvdefense.attacks.targets import TARGETS
from mmadvdefense.evaluation import Result, evaluate, robustness_table
from mmadvdefense.evaluation.conditions import conditions
from mmadvdefense.evaluation.grid.versions import RESULTS_FORMAT, VERSION
from mmadvdefense.evaluation.report.tables import reason_text
from mmadvdefense.model_spec import ModelSpec
from mmadvdefense.models import host_model, unwrap
from mmadvdefense.registry import ATTACKS, find_class, type_name
from mmadvdefense.saving import write_json
from mmadvdefense.threats import DEFAULT_EOT_SAMPLES, NATURAL, THREAT_MODELS, THREAT_SETTINGS, ThreatModel
from mmadvdefense.threats.sources import enabled_purifier
from mmadvdefense.threats.threat_model import check_name
from mmadvdefense.training.preparation import prepare_for_testing


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of the model, with a purifier or without')
    parser.add_argument('checkpoint', nargs='?', help='its checkpoint; a DefendedEnsemble loads its own')
    add_common_arguments(parser)
    parser.add_argument(
        '--attack',
        metavar='NAME_OR_CONFIG',
        help=f'one of {", ".join(attack_names())}, or a config file with attack=dict(...); default: clean images only',
    )
    parser.add_argument('--eps', type=pixels, help='radius of the attack in pixels (0-255): 8 is 8/255 of papers')
    parser.add_argument('--step-size', type=pixels, help='pixels (0-255) per step')
    parser.add_argument('--steps', type=int, help='number of steps')
    parser.add_argument(
        '--objective', metavar='NAME', choices=list(WORDS), help=f'what the attack maximizes: {", ".join(WORDS)}'
    )
    parser.add_argument('--severity', type=int, nargs='+', help='of a corruption: 1 to 5; several for ImageNetC')
    parser.add_argument('--corruption', metavar='NAME', help='of --attack Corruption: fog, jpeg_compression, ...')
    parser.add_argument('--area', type=float, help='of a patch: its share of the image, in (0, 1)')
    parser.add_argument('--file', help='of a universal perturbation or patch: what tools/fit_universal.py has written')
    parser.add_argument(
        '--targeted',
        nargs='?',
        const='random',
        metavar='CHOICE',
        help=f'towards a wrong class: {", ".join(TARGETS)}, top_wrong_2, ..., or class_3, ... for one class',
    )
    parser.add_argument(
        '--num-targets', type=int, help='number of wrong classes to try; the one that is worst for the model counts'
    )
    parser.add_argument(
        '--source',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='another model to craft the attack on: adds a transfer row to the gray-box one; for adaptive-substitute, '
        'the model that is attacked instead of the target',
    )
    parser.add_argument(
        '--threat-model',
        nargs='+',
        metavar='NAME',
        help=f'what the attacker has and knows: one or more of {", ".join(THREAT_MODELS)}, with a row each (default: '
        'gray-box, and transfer with --source; natural for corruptions)',
    )
    parser.add_argument(
        '--substitute',
        metavar='PURIFIER',
        help="the attacker's own purifier, a file of tools/export_purifier.py: adaptive-bpda takes only its gradient, "
        'behind the real purifier (default: the identity); adaptive-substitute has it in place of the real one',
    )
    parser.add_argument(
        '--eot-samples',
        type=int,
        help=f'for adaptive-eot: samples of the random purifier per gradient (default: {DEFAULT_EOT_SAMPLES})',
    )
    parser.add_argument('--no-purifier', action='store_true', help='score the undefended model only')
    parser.add_argument('--quantize', action='store_true', help='round adversarial images to whole pixels')
    parser.add_argument('--seed', type=int, default=0, help='of the attack (default: 0)')
    parser.add_argument('--out', metavar='results.json', help='write the results to this file')
    return parser.parse_args()


def attack_config(arguments: argparse.Namespace) -> Optional[dict]:
    """The attack of the command line: a name or a config file, overridden by the other flags."""
    names = ('eps', 'step_size', 'steps', 'objective', 'severity', 'corruption', 'area', 'file', 'targeted')
    given = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given.get('severity', ())) == 1:
        (given['severity'],) = given['severity']
    if arguments.attack is None:
        others = ('num_targets', 'source', 'threat_model', 'substitute', 'eot_samples')
        if given or any(getattr(arguments, name) is not None for name in others):
            raise UsageError(
                '--eps, --step-size, --steps, --objective, --severity, --corruption, --area, --file, --targeted, '
                '--num-targets, --source, --threat-model, --substitute and --eot-samples need --attack'
            )
        return None
    if arguments.attack.endswith('.py'):
        if not Path(arguments.attack).exists():
            raise UsageError(f'attack config not found: {arguments.attack}')
        loaded = Config.fromfile(arguments.attack)
        if 'attack' not in loaded:
            raise UsageError(f'{arguments.attack} defines no attack=dict(type=...)')
        config = attack_settings({**loaded.attack, **given})
    else:
        config = {'type': arguments.attack, **given}
        if 'eps' not in config and _needs_eps(arguments.attack):
            raise UsageError(f'--attack {arguments.attack} needs --eps (pixels, 0-255)')
    if arguments.num_targets is not None:
        own = config if config['type'] == 'EachTarget' else dict(type='EachTarget', attack=config)
        config = {**own, 'num_targets': arguments.num_targets}
    return config


def _needs_eps(name: str) -> bool:
    """Whether an attack has a radius without a default; False for an unknown name, which is a mistake of its own."""
    cls = find_class(name, ATTACKS)
    if cls is None:
        return False
    eps = inspect.signature(cls).parameters.get('eps')
    return eps is not None and eps.default is inspect.Parameter.empty


def threat_models(arguments: argparse.Namespace, attack: Optional[dict]) -> list[ThreatModel]:
    """The threat models of the command line, each with the settings that belong to it."""
    source = None
    if arguments.source:
        spec = ModelSpec(*arguments.source, trust=arguments.trust_checkpoint)
        spec.check_files('the source')
        source = spec.as_dict()
    natural = attack is not None and not build_attack(attack).adversarial
    names = arguments.threat_model or ([NATURAL] if natural else ['gray-box', *(['transfer'] if source else [])])
    for name in names:
        check_name(name)
    given = dict(source=source, substitute=arguments.substitute, eot_samples=arguments.eot_samples)
    for setting, owners in THREAT_SETTINGS.items():
        if given[setting] is not None and not set(owners) & set(names):
            raise UsageError(f'--{setting.replace("_", "-")} is for --threat-model {" and ".join(owners)}')
    threats = [
        ThreatModel(name, **{s: given[s] for s, owners in THREAT_SETTINGS.items() if name in owners}) for name in names
    ]
    if arguments.no_purifier:
        for threat in threats:
            if threat.without_purifier() is None:
                raise UsageError(f'--no-purifier leaves nothing to attack for {threat.name}')
    return threats


def without_purifier(threats: Sequence[ThreatModel]) -> list[ThreatModel]:
    """The threat models for a model without a purifier, each once: adaptive attackers are gray-box there."""
    left: list[ThreatModel] = []
    for threat in threats:
        same = threat.without_purifier() or threat
        if same not in left:
            left.append(same)
    return left


def report(results: list[Result], arguments: argparse.Namespace) -> dict:
    """What the file of results holds."""
    return {
        'format': RESULTS_FORMAT,
        'version': VERSION,
        'mmadvdefense': __version__,
        'torch': torch.__version__,
        'python': platform.python_version(),
        'config': arguments.config,
        'checkpoint': arguments.checkpoint,
        'seed': arguments.seed,
        'quantized': arguments.quantize,
        'results': [result.as_dict() for result in results],
    }


def main() -> None:
    arguments = parse_arguments()
    attack = attack_config(arguments)
    if arguments.checkpoint is not None:
        require_checkpoint(arguments.checkpoint, 'checkpoint', arguments.trust_checkpoint)
    if arguments.substitute:
        require_checkpoint(arguments.substitute, 'substitute purifier', trust=False)
    threats = threat_models(arguments, attack)
    rows = conditions(attack, threats)
    config = load_config(arguments)
    loads_itself = type_name(host_model(config).get('type')) == 'DefendedEnsemble'
    if loads_itself == (arguments.checkpoint is not None):
        raise UsageError(
            f'{arguments.config} is a DefendedEnsemble, whose members have checkpoints of their own: leave it out'
            if loads_itself
            else f'give the checkpoint of {arguments.config} as the second argument'
        )
    config.load_from = arguments.checkpoint
    prepare_for_testing(config, arguments.launcher)
    runner = Runner.from_cfg(config)
    if arguments.no_purifier or enabled_purifier(unwrap(runner.model)) is None:
        rows = conditions(attack, without_purifier(threats))
    purifier = (False,) if arguments.no_purifier else (False, True)
    results = evaluate(runner, rows, purifier, arguments.seed, arguments.quantize)
    if is_main_process():
        print(robustness_table(results))
        if arguments.out:
            write_json(arguments.out, report(results, arguments))
            print(f'results written to {arguments.out}')
        missing = [result for result in results if result.reason is not None]
        if missing:
            raise UsageError(f'{missing[0].condition.name}: {reason_text(missing[0].reason, missing[0].error)}')


if __name__ == '__main__':
    run(main)
