"""Attacks of torchattacks (Kim, arXiv 2010.01950) on any supported classifier."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import Any, Optional, Union

from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ...registry import ATTACKS
from ..source import AttackSource
from .library import LibraryAttack, UnitRangeClassifier, class_count, import_library

NORMS = {'linf': 'Linf', 'l2': 'L2'}
# These use class scores only; the others use gradients.
_ASK_FOR_SCORES = ('OnePixel', 'Pixle', 'Square')
# Number of classes that the DLR losses compare; with fewer, the library fails with an IndexError.
_LEAST_CLASSES = {'APGDT': 4, 'dlr': 3}


class TorchattacksAttack(LibraryAttack):
    """An attack built from attacks of torchattacks.

    The library's objects are reused for all images, because the library keeps a reference to every object it is given.
    """

    package = 'torchattacks'

    def __init__(self, eps: Optional[float], **options: Any):
        super().__init__(eps, **options)
        self._model: Optional[UnitRangeClassifier] = None
        self._members: list[Any] = []
        self._whole: Any = None

    @abstractmethod
    def build(self, library: Any, model: UnitRangeClassifier, num_classes: int) -> tuple[Any, list[Any]]:
        """The library's attack, and its components that have a seed."""

    def attack_image(self, model: UnitRangeClassifier, image: Tensor, label: Tensor, seed: int) -> Tensor:
        if self._model is not model:
            library = import_library(self.package, type(self).__name__)
            self._whole, self._members = self.build(library, model, model.num_classes)
            self._model = model
        for member in self._members:
            # Bypasses the library's setter, which would keep every seed.
            vars(member)['seed'] = seed
        found: Tensor = self._whole(image, label)
        return found


@ATTACKS.register_module()
class TorchAttack(TorchattacksAttack):
    """Any attack of torchattacks by class name, such as ``'APGD'``, ``'VMIFGSM'`` or ``'Jitter'``.

    Args:
        name: a class of ``torchattacks``.
        eps: radius of the ball in pixels (0-255) into which the result is projected; None for attacks without a ball.
        step_size: the library's ``alpha``, in pixels; None for the library's default.
        norm: norm of the ball; passed to attacks that take one.
        targeted: False, or how the target class is chosen.
        settings: further arguments of the class, with the library's names and units.

    Raises:
        ImportError: if torchattacks is not installed.
        ValueError: for an unknown name or setting.
    """

    def __init__(
        self,
        name: str,
        eps: Optional[float],
        step_size: Optional[float] = None,
        norm: str = 'linf',
        targeted: Union[bool, str] = False,
        **settings: Any,
    ):
        super().__init__(eps, norm=norm, targeted=targeted)
        library = import_library(self.package, type(self).__name__)
        attack = getattr(library, name, None)
        if not (inspect.isclass(attack) and issubclass(attack, library.attack.Attack)):
            raise UsageError(f'torchattacks has no attack {name!r}')
        known = inspect.signature(attack).parameters
        for theirs, ours in (('eps', eps), ('alpha', step_size)):
            if theirs in settings:
                raise UsageError(f'TorchAttack takes eps and step_size in pixels (0-255), not {theirs}')
            if ours is not None and theirs in known:
                settings[theirs] = ours / PIXEL_MAX
        if step_size is not None and 'alpha' not in known:
            raise UsageError(f'torchattacks.{name} has no step size')
        if 'norm' in known:
            settings['norm'] = NORMS[norm]
        unknown = set(settings) - set(known)
        if unknown:
            raise UsageError(
                f'torchattacks.{name} has no setting {", ".join(sorted(unknown))}; it has {", ".join(known)}'
            )
        self.name = name
        self.access = 'scores' if name in _ASK_FOR_SCORES else 'gradients'
        self._settings, self._knows_classes = settings, 'n_classes' in known and 'n_classes' not in settings

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        least = max(_LEAST_CLASSES.get(word, 0) for word in (self.name, str(self._settings.get('loss'))))
        if class_count(source) < least:
            raise UsageError(f'{self.name} needs {least} classes, but the model has {source.task.num_classes}')

    def build(self, library: Any, model: UnitRangeClassifier, num_classes: int) -> tuple[Any, list[Any]]:
        classes = dict(n_classes=num_classes) if self._knows_classes else {}
        attack = getattr(library, self.name)(model, **self._settings, **classes)
        if self.targeted:
            attack.set_mode_targeted_by_label(quiet=True)
        return attack, [attack] if hasattr(attack, 'seed') else []

    @property
    def title(self) -> str:
        return self.name
