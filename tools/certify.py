"""Certify a classifier or segmentor behind its purifier: radii in L2 within which no attack changes its prediction.

The smoothed model of Cohen et al. (ICML 2019) is certified, pixel by pixel for segmentors (Fischer et al., ICML 2021).
Start an interrupted run again to continue it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.device import get_device
from mmengine.runner import CheckpointLoader
from torch import nn

from mmadvdefense import __version__
from mmadvdefense.checkpoints import PREPROCESSOR, load_target, state_dict_of
from mmadvdefense.digests import module_digest
from mmadvdefense.evaluation.certification import SmoothedModel
from mmadvdefense.evaluation.certification.attacked import check_certificates
from mmadvdefense.evaluation.certification.report import build_report, notes, report_table, write_report
from mmadvdefense.evaluation.certification.row_file import RowFile, claim_folder
from mmadvdefense.evaluation.certification.run import certify_images
from mmadvdefense.evaluation.certification.summary import table_radii
from mmadvdefense.evaluation.grid.image_selection import choose_indices, inspect_images, open_test_set
from mmadvdefense.models import build_model, preprocessor_of
from mmadvdefense.purifiers import GeneratorPurifier, Purifier
from mmadvdefense.training.preparation import prepare_for_testing
from mmadvdefense.training.purifier_config import purifier_config

NO_PURIFIER = 'no purifier'


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the protected model')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help="its checkpoint; may be left out if the purifier is an export (init_cfg): then the target's is load_from",
    )
    add_common_arguments(parser)
    parser.add_argument(
        '--sigma',
        type=float,
        help="standard deviation of the noise in pixels (0-255); 63.75 is 0.25 in papers (default: the purifier's)",
    )
    parser.add_argument('--n', type=int, default=10000, help='votes that estimate a probability (default: 10000)')
    parser.add_argument('--n0', type=int, default=100, help='votes that select a class (default: 100)')
    parser.add_argument(
        '--alpha', type=float, default=0.001, help='probability that a certificate is wrong (default: 0.001)'
    )
    parser.add_argument(
        '--tau', type=float, default=0.75, help="for segmentation: what a pixel's class must exceed (default: 0.75)"
    )
    parser.add_argument('--images', type=int, help='number of images, spread evenly over the test set (default: all)')
    parser.add_argument('--baseline', action='store_true', help='certify the model without its purifier as well')
    parser.add_argument(
        '--skip-wrong',
        action='store_true',
        help='do not estimate a probability where the selected class is wrong: these images count as abstentions, and '
        'certified accuracy is the same (classification)',
    )
    parser.add_argument(
        '--attack-inside',
        type=int,
        metavar='N',
        help='attack N certified images by adaptive PGD, each inside its radius: none may fall (classification)',
    )
    parser.add_argument('--report-only', action='store_true', help='certify no more images, report those that are')
    parser.add_argument('--radii', type=float, nargs='+', help='radii of the table, L2 for images in 0-1')
    parser.add_argument('--batch-size', type=int, help='noisy copies at once (default: by the device)')
    parser.add_argument('--seed', type=int, default=0, help='of the noise')
    parser.add_argument('--out', metavar='FOLDER', help='where results go (default: WORK_DIR/certified)')
    arguments = parser.parse_args()
    if arguments.launcher != 'none':
        parser.error('tools/certify.py runs in one process; leave --launcher out')
    return arguments


def find_checkpoint(config: Config, arguments: argparse.Namespace) -> str:
    """The checkpoint of the command line, or that of the target if the purifier is an export."""
    if arguments.checkpoint is not None:
        return arguments.checkpoint
    if not (purifier_config(config) or {}).get('init_cfg'):
        raise UsageError(f'give the checkpoint of {arguments.config} as the second argument')
    if not config.get('load_from'):
        raise UsageError(
            f"{arguments.config} has an exported purifier, but no weights for the model behind it: give the model's "
            'checkpoint as the second argument, or set load_from'
        )
    return config.load_from


def load_model(config: Config, path: str, trust: bool) -> nn.Module:
    """The model on its device, with the weights of the purifier if the checkpoint has some."""
    model = build_model(config)
    state = state_dict_of(CheckpointLoader.load_checkpoint(path, map_location='cpu'), path)
    trained = any(name.removeprefix('module.').startswith(PREPROCESSOR) for name in state)
    with_purifier = trained and isinstance(preprocessor_of(model), GeneratorPurifier)
    load_target(model, path, trust, ignore=('data_preprocessor.discriminator.',) if with_purifier else PREPROCESSOR)
    # Convolutions on small images are almost twice as fast in this layout.
    return model.to(get_device(), memory_format=torch.channels_last).eval()


def smoothed_models(model: nn.Module, arguments: argparse.Namespace) -> dict[str, SmoothedModel]:
    """What is certified, by what stands in front of the model."""
    purifier = preprocessor_of(model)
    has_purifier = isinstance(purifier, Purifier)
    if arguments.baseline and not has_purifier:
        raise UsageError(f'{arguments.config} has no purifier, so --baseline would certify the same model twice')
    settings: dict[str, Any] = {
        name: getattr(arguments, name) for name in ('sigma', 'n0', 'n', 'alpha', 'tau', 'batch_size', 'seed')
    }
    models = {type(purifier).__name__ if has_purifier else NO_PURIFIER: SmoothedModel(model, **settings)}
    if arguments.baseline:
        models[NO_PURIFIER] = SmoothedModel(model, purifier=False, **settings)
    return models


def run_settings(smoothed: SmoothedModel, arguments: argparse.Namespace, images: str, count: int) -> dict[str, Any]:
    """All that certificates depend on, but for the batch size and the device, which only draw other noise."""
    votes = smoothed.votes
    return {
        'sigma': smoothed.sigma,
        'n0': smoothed.n0,
        'n': smoothed.n,
        'alpha': smoothed.alpha,
        'tau': smoothed.tau if votes.per_pixel else None,
        'seed': smoothed.seed,
        'skip_wrong': arguments.skip_wrong,
        'images': {'number': count, 'digest': images},
        'model': module_digest(votes.task.model, leave_out=('data_preprocessor',)),
        'data_preprocessor': module_digest(preprocessor_of(votes.task.model)),
    }


def certified_rows(
    models: dict[str, SmoothedModel],
    dataset: BaseDataset,
    indices: list[int],
    folder: Path,
    arguments: argparse.Namespace,
) -> tuple[dict[str, list[dict]], dict[str, list[dict]]]:
    """Rows of the images, and of those that were attacked, by what stands in front of the model."""
    rows: dict[str, list[dict]] = {}
    attacked: dict[str, list[dict]] = {}
    for name, smoothed in models.items():
        stem = 'no_purifier' if name == NO_PURIFIER else 'purifier'
        file, checked = RowFile(folder / f'{stem}.jsonl'), RowFile(folder / f'{stem}_attacked.jsonl')
        if not arguments.report_only:
            certify_images(smoothed, dataset, indices, file, name, arguments.skip_wrong)
        rows[name] = [file.rows[index] for index in indices if index in file.rows]
        if arguments.attack_inside and not arguments.report_only:
            check_certificates(smoothed, dataset, rows[name], arguments.attack_inside, checked, f'{name}, attacked')
        if checked.rows:
            attacked[name] = list(checked.rows.values())
    return rows, attacked


def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments)
    checkpoint = find_checkpoint(config, arguments)
    require_checkpoint(checkpoint, 'checkpoint', arguments.trust_checkpoint)
    prepare_for_testing(config)
    model = load_model(config, checkpoint, arguments.trust_checkpoint)
    models = smoothed_models(model, arguments)
    first = next(iter(models.values()))
    per_pixel = first.votes.per_pixel
    if per_pixel and (arguments.skip_wrong or arguments.radii or arguments.attack_inside):
        raise UsageError('--skip-wrong, --radii and --attack-inside are for classifiers, not pixel by pixel')
    table_radii(first.largest_radius, arguments.radii)
    dataset = open_test_set(config)
    indices = choose_indices(len(dataset), arguments.images, None)
    folder = Path(arguments.out or Path(config.work_dir) / 'certified')
    settings = run_settings(first, arguments, inspect_images(dataset, indices), len(indices))
    claim_folder(folder, arguments.config, settings)
    facts = {'config': arguments.config, 'checkpoint': checkpoint, 'mmadvdefense': __version__, **settings}
    rows, attacked = certified_rows(models, dataset, indices, folder, arguments)
    if not any(rows.values()):
        raise UsageError(f'no image is certified in {folder} yet; leave --report-only out')
    complete = all(len(own) == len(indices) for own in rows.values())
    facts['complete'] = complete
    report = build_report(facts, first.largest_radius, rows, arguments.radii, per_pixel, attacked)
    paths = write_report(folder, report, rows)
    print(report_table(report).ascii())
    print('\n'.join(notes(report)))
    print(f'page: {paths["report"]}; rows: {paths["images"]}')


if __name__ == '__main__':
    run(main)
