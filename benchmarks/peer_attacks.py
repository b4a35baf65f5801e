"""The attacks that other libraries have, too, with the same settings in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mmadvdefense.attacks.external.unit_range import UnitRangeHost
from mmadvdefense.pixels import PIXEL_MAX
from mmadvdefense.tasks import task_of

# Small enough that an undefended model keeps some of its accuracy; otherwise all attacks would look alike.
EPS, STEP, STEPS = 1.0, 0.25, 10
EPS_L2, STEP_L2 = 16.0, 4.0
QUERIES = 100
PACKAGES = {'torchattacks': 'torchattacks', 'foolbox': 'foolbox', 'ART': 'art', 'adv-lib': 'adv_lib'}
# Images and labels to adversarial images, all in [0, 1], as in the other libraries.
Perturb = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Contest:
    """One attack in several libraries.

    Attributes:
        ours: config of our attack.
        theirs: for each library, a function that builds its version for a model.
        norm: the norm of the budget.
        eps: the budget in pixels.
        gradients: the number of gradients that each of them needs; 0 if that depends on the images.
    """

    ours: dict
    theirs: dict[str, Callable[[UnitRangeHost], Perturb]] = field(default_factory=dict)
    norm: str = 'linf'
    eps: float = EPS
    gradients: int = 0


def torchattacks(name: str, **settings) -> Callable[[UnitRangeHost], Perturb]:
    def build(model: UnitRangeHost) -> Perturb:
        import torchattacks as library

        return getattr(library, name)(model, **settings)

    return build


def foolbox(name: str, eps: float, **settings) -> Callable[[UnitRangeHost], Perturb]:
    def build(model: UnitRangeHost) -> Perturb:
        import foolbox as library

        attack = getattr(library.attacks, name)(**settings)
        wrapped = library.PyTorchModel(model, bounds=(0, 1), device=next(model.parameters()).device)

        def perturb(images: Tensor, labels: Tensor) -> Tensor:
            # Clipped to the budget. That may undo a minimum-norm attack, which is just its robust accuracy there.
            return attack(wrapped, images, labels, epsilons=eps / PIXEL_MAX)[1]

        return perturb

    return build


def art(name: str, **settings) -> Callable[[UnitRangeHost], Perturb]:
    def build(model: UnitRangeHost) -> Perturb:
        from art.attacks import evasion
        from art.estimators.classification import PyTorchClassifier

        classifier = PyTorchClassifier(
            model, nn.CrossEntropyLoss(), (3, 32, 32), task_of(model.host).num_classes, clip_values=(0, 1)
        )
        kind = getattr(evasion, name)
        quiet = dict(verbose=False) if 'verbose' in kind.attack_params else {}
        attack = kind(classifier, **quiet, **settings)
        takes_labels = kind is not evasion.DeepFool

        def perturb(images: Tensor, labels: Tensor) -> Tensor:
            truth = labels.cpu().numpy() if takes_labels else None
            return torch.from_numpy(attack.generate(images.cpu().numpy(), truth)).to(images.device)

        return perturb

    return build


def adv_lib(name: str, **settings) -> Callable[[UnitRangeHost], Perturb]:
    def build(model: UnitRangeHost) -> Perturb:
        from adv_lib import attacks

        return lambda images, labels: getattr(attacks, name)(model, images, labels, **settings)

    return build


def contests(steps: int = STEPS) -> dict[str, Contest]:
    """Every attack by name; iterative ones inside a ball take so many steps."""
    eps, step, eps_l2, step_l2 = (value / PIXEL_MAX for value in (EPS, STEP, EPS_L2, STEP_L2))
    linf = dict(eps=EPS, step_size=STEP, steps=steps)
    batch = dict(batch_size=100)
    return {
        'FGSM': Contest(
            dict(type='FGSM', eps=EPS),
            {
                'torchattacks': torchattacks('FGSM', eps=eps),
                'foolbox': foolbox('LinfFastGradientAttack', EPS),
                'ART': art('FastGradientMethod', eps=eps, **batch),
            },
            gradients=1,
        ),
        'RFGSM': Contest(
            dict(type='RFGSM', eps=EPS),
            {'torchattacks': torchattacks('RFGSM', eps=eps, alpha=eps / 2, steps=1)},
            gradients=1,
        ),
        'BIM': Contest(
            dict(type='BIM', **linf),
            {
                'torchattacks': torchattacks('BIM', eps=eps, alpha=step, steps=steps),
                'foolbox': foolbox('LinfBasicIterativeAttack', EPS, abs_stepsize=step, steps=steps),
                'ART': art('BasicIterativeMethod', eps=eps, eps_step=step, max_iter=steps, **batch),
            },
            gradients=steps,
        ),
        'PGD': Contest(
            dict(type='PGD', **linf),
            {
                'torchattacks': torchattacks('PGD', eps=eps, alpha=step, steps=steps),
                'foolbox': foolbox('LinfPGD', EPS, abs_stepsize=step, steps=steps),
                'ART': art(
                    'ProjectedGradientDescent', eps=eps, eps_step=step, max_iter=steps, num_random_init=1, **batch
                ),
                'adv-lib': adv_lib('pgd_linf', ε=eps, absolute_step_size=step, steps=steps),
            },
            gradients=steps,
        ),
        'PGD on KL': Contest(
            dict(type='PGD', **linf, objective='kl', random_start='normal'),
            {'torchattacks': torchattacks('TPGD', eps=eps, alpha=step, steps=steps)},
            gradients=steps,
        ),
        'PGD, L2': Contest(
            dict(type='PGD', eps=EPS_L2, step_size=STEP_L2, steps=steps, norm='l2'),
            {
                'torchattacks': torchattacks('PGDL2', eps=eps_l2, alpha=step_l2, steps=steps),
                'foolbox': foolbox('L2PGD', EPS_L2, abs_stepsize=step_l2, steps=steps),
                'ART': art(
                    'ProjectedGradientDescent',
                    norm=2,
                    eps=eps_l2,
                    eps_step=step_l2,
                    max_iter=steps,
                    num_random_init=1,
                    **batch,
                ),
            },
            norm='l2',
            eps=EPS_L2,
            gradients=steps,
        ),
        'MIFGSM': Contest(
            dict(type='MIFGSM', **linf),
            {
                'torchattacks': torchattacks('MIFGSM', eps=eps, alpha=step, steps=steps, decay=1.0),
                'foolbox': foolbox('LinfMomentumIterativeFastGradientMethod', EPS, abs_stepsize=step, steps=steps),
                'ART': art('MomentumIterativeMethod', eps=eps, eps_step=step, max_iter=steps, decay=1.0, **batch),
            },
            gradients=steps,
        ),
        'DIFGSM': Contest(
            dict(type='DIFGSM', **linf),
            {'torchattacks': torchattacks('DIFGSM', eps=eps, alpha=step, steps=steps)},
            gradients=steps,
        ),
        'TIFGSM': Contest(
            dict(type='TIFGSM', **linf),
            {'torchattacks': torchattacks('TIFGSM', eps=eps, alpha=step, steps=steps, diversity_prob=0.0)},
            gradients=steps,
        ),
        'APGD': Contest(
            dict(type='APGD', eps=EPS, steps=steps),
            {
                'torchattacks': torchattacks('APGD', eps=eps, steps=steps),
                'adv-lib': adv_lib('apgd', eps=eps, norm=float('inf'), n_iter=steps, loss_function='ce'),
            },
        ),
        'FAB': Contest(
            dict(type='FAB', steps=steps),
            {
                'torchattacks': torchattacks('FAB', eps=eps, steps=steps, multi_targeted=False),
                'adv-lib': adv_lib('fab', norm=float('inf'), n_iter=steps),
            },
        ),
        'DeepFool, L2': Contest(
            dict(type='DeepFool', eps=None, norm='l2', steps=50),
            {
                'torchattacks': torchattacks('DeepFool', steps=50),
                'foolbox': foolbox('L2DeepFoolAttack', EPS_L2, steps=50),
                'adv-lib': adv_lib('df', steps=50),
            },
            norm='l2',
            eps=EPS_L2,
        ),
        'CarliniWagner, L2': Contest(
            dict(type='CarliniWagner', eps=None, norm='l2', steps=50, binary_search_steps=3),
            {
                'torchattacks': torchattacks('CW', c=1, kappa=0, steps=150, lr=0.01),
                'foolbox': foolbox('L2CarliniWagnerAttack', EPS_L2, binary_search_steps=3, steps=50),
                'adv-lib': adv_lib('carlini_wagner_l2', binary_search_steps=3, max_iterations=50),
            },
            norm='l2',
            eps=EPS_L2,
        ),
        'Square': Contest(
            dict(type='Square', eps=EPS, queries=QUERIES),
            {
                'torchattacks': torchattacks('Square', eps=eps, n_queries=QUERIES, n_restarts=1, loss='margin'),
                'ART': art('SquareAttack', eps=eps, max_iter=QUERIES, nb_restarts=1, **batch),
            },
        ),
    }
