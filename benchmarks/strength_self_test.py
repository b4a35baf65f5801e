"""Pass rates of the strength self-test: an attack that should pass, and three evaluations that are planted weak.

    python benchmarks/strength_self_test.py configs/target/resnet20_cifar10.py checkpoints/resnet20_cifar10.pth

Beside the pass rate stands the accuracy of the model under the same attack on the same images, which is what a report
would show.
"""

from __future__ import annotations

import argparse
import time

import torch
from mmengine.config import Config
from terminaltables import AsciiTable

from mmadvdefense.attacks import build_attack
from mmadvdefense.evaluation.grid.image_selection import choose_indices, open_test_set
from mmadvdefense.model_spec import ModelSpec
from mmadvdefense.models import preprocessor_of, unwrap
from mmadvdefense.pipelines import channel_order
from mmadvdefense.purifiers import BitDepthPurifier
from mmadvdefense.randomness import image_names
from mmadvdefense.tasks import annotations_in_input_frame, task_of
from mmadvdefense.threats import ThreatModel, binarization
from mmadvdefense.threats.crafter import Crafter
from mmadvdefense.threats.sources import fitting_source
from mmadvdefense.threats.strength import Frame, StrengthTest, mean_of
from mmadvdefense.threats.worst_case import scores_in_test


class SilentStepPurifier(BitDepthPurifier):
    """A step function that does not say that its gradient is zero."""

    differentiable = True


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='of a classifier, with test data')
    parser.add_argument('checkpoint')
    parser.add_argument('--images', type=int, default=50)
    parser.add_argument('--eps', type=float, default=8.0, help='pixels (0-255)')
    parser.add_argument('--published', action='store_true', help='the decision boundary just before the corner')
    parser.add_argument('--rows', type=int, nargs='+', metavar='ROW', help='of the table, from 1; all by default')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    if arguments.published:
        binarization.SEARCH_STEPS = 0
    dataset = open_test_set(Config.fromfile(arguments.config))
    chosen = choose_indices(len(dataset), arguments.images, None)
    model = unwrap(
        ModelSpec.parse(dict(config=arguments.config, checkpoint=arguments.checkpoint), 'the model').load()
    ).eval()
    native = model.data_preprocessor
    pgd = dict(type='PGD', eps=arguments.eps, step_size=arguments.eps / 4, steps=20)
    rows = {
        'PGD, 20 steps': (pgd, 'gray-box', None),
        'PGD, one step': ({**pgd, 'steps': 1}, 'gray-box', None),
        'FGSM': (dict(type='FGSM', eps=arguments.eps), 'gray-box', None),
        'PGD, step size 0.01': ({**pgd, 'step_size': 0.01}, 'gray-box', None),
        'PGD through 3 bits a channel': (pgd, 'adaptive', 3),
        'the same, BPDA': (pgd, 'adaptive-bpda', 3),
    }
    table = [['attack', 'clean (%)', 'attacked (%)', 'pass rate', 'images', 'seconds']]
    for number, (name, (config, threat, bits)) in enumerate(rows.items(), start=1):
        if number not in (arguments.rows or [number]):
            continue
        model.data_preprocessor = native if bits is None else behind_steps(native, bits)
        start = time.perf_counter()
        rates = pass_rates(model, dataset, chosen, config, ThreatModel(threat))
        seconds = time.perf_counter() - start
        rate, tested = mean_of(rates), sum(own is not None for own in rates)
        clean, attacked = accuracies(model, dataset, chosen, config, ThreatModel(threat))
        shown = '-' if rate is None else f'{rate:.2f}'
        table.append([name, f'{100 * clean:.1f}', f'{100 * attacked:.1f}', shown, str(tested), f'{seconds:.0f}'])
        print(*table[-1], sep=' | ', flush=True)
    print(AsciiTable(table).table)


def behind_steps(native, bits: int) -> SilentStepPurifier:
    """A step function in front of a model's own preprocessor."""
    purifier = SilentStepPurifier(bits, native_type='mmengine.BaseDataPreprocessor')
    purifier.native = native
    return purifier.to(native.device)


def pass_rates(model, dataset, chosen: list[int], config: dict, threat: ThreatModel) -> list:
    frame = Frame(annotations_in_input_frame(dataset), channel_order=channel_order(dataset))
    test = StrengthTest(model, build_attack(config), config, threat, frame)
    return [test(*loaded(model, dataset, index)) for index in chosen]


def accuracies(model, dataset, chosen: list[int], config: dict, threat: ThreatModel) -> list[float]:
    """On clean and on attacked images, 0-1."""
    attack = build_attack(config)
    crafter = Crafter(attack, fitting_source(attack, threat, model, channel_order(dataset)), config, threat)
    items = [loaded(model, dataset, index) for index in chosen]
    images, samples, names = torch.cat([item[0] for item in items]), [item[1] for item in items], [i[2] for i in items]
    states = images, crafter(images, samples, names).images
    scores = (scores_in_test(model, task_of(model), samples, True, True, False, state) for state in states)
    return [float(own.mean()) for own in scores]


def loaded(model, dataset, index: int) -> tuple:
    """An image ``(1, 3, H, W)`` on the model's device, its sample and its name."""
    item = dataset[index]
    image = preprocessor_of(model).cast_data(item['inputs'])[None].float()
    return image, item['data_samples'], image_names([item['inputs']], [item['data_samples']])[0]


if __name__ == '__main__':
    main()
