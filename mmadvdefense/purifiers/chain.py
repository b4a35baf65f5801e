"""Several purifiers in a row."""

from __future__ import annotations

import difflib
from typing import Sequence

from torch import nn

from ..pixels import Pixels
from ..randomness import Randomness
from ..registry import MODELS
from .base import Purifier, RandomPurifier
from .generator import GeneratorPurifier

# What moves images to the device and does nothing else: a member hands its images to the next, not to the host.
NO_PREPROCESSOR = 'mmengine.BaseDataPreprocessor'


@MODELS.register_module()
class PurifierChain(RandomPurifier):
    """Applies purifiers one after another, each to what the one before has made of the images.

    It has a gradient if all members have, draws random numbers if any does, and is ready when all are.

    Nothing in it is trained: train a purifier alone, and give its export to the member as ``init_cfg``.

    Args:
        purifiers: configs, first to last.
        kwargs: of :class:`RandomPurifier`.

    Raises:
        ValueError: for an empty chain, a member that is no purifier, or one with a setting it does not have.
            Settings of the native preprocessor and the ``seed`` are the chain's.
    """

    def __init__(self, purifiers: Sequence[dict], **kwargs):
        super().__init__(**kwargs)
        if not purifiers:
            raise ValueError("PurifierChain needs at least one purifier, e.g. purifiers=[dict(type='JPEGPurifier')]")
        self.purifiers = nn.ModuleList(self._build(config, index) for index, config in enumerate(purifiers))
        for purifier in self.purifiers:
            self._check_geometry(purifier)

    def _build(self, config: dict, index: int) -> Purifier:
        name = config.get('type')
        cls = MODELS.get(name) if isinstance(name, str) else name
        if not (isinstance(cls, type) and issubclass(cls, Purifier)):
            known = purifier_names()
            near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.3) or known
            raise ValueError(
                f'PurifierChain: purifiers[{index}] has type {name!r}, which is no purifier; '
                f'did you mean {", ".join(near)}?'
            )
        for setting in ('seed', 'native_type'):
            if setting in config:
                raise ValueError(f'PurifierChain: purifiers[{index}] ({name}) has {setting}, a setting of the chain')
        try:
            return MODELS.build({'channel_order': self.channel_order, **config, 'native_type': NO_PREPROCESSOR})
        except TypeError as error:
            raise ValueError(f'PurifierChain: purifiers[{index}] ({name}): {error}') from error

    @property
    def differentiable(self) -> bool:
        return super().differentiable and all(purifier.differentiable for purifier in self.purifiers)

    @property
    def stochastic(self) -> bool:
        return any(purifier.stochastic for purifier in self.purifiers)

    @property
    def keeps_geometry(self) -> bool:
        return all(purifier.keeps_geometry for purifier in self.purifiers)

    def check_ready(self) -> None:
        for purifier in self.purifiers:
            purifier.check_ready()

    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        for purifier in self.purifiers:
            images = purifier.clean(images, randomness)
        return images

    def forward(self, data: dict, training: bool = False) -> dict:
        """As any purifier's.

        Raises:
            RuntimeError: in training, if a member has a generator.
        """
        if training and self.enabled:
            for purifier in self.purifiers.modules():
                if isinstance(purifier, GeneratorPurifier):
                    raise RuntimeError(
                        f'PurifierChain does not train its {type(purifier).__name__}: train it alone, export it with '
                        'tools/export_purifier.py, and give the member '
                        "init_cfg=dict(type='Pretrained', checkpoint='purifier.pth')"
                    )
        return super().forward(data, training)

    def _share_device(self) -> PurifierChain:
        super()._share_device()
        for purifier in self.purifiers:
            purifier._device = self._device
            purifier._share_device()
        return self


def purifier_names() -> list[str]:
    """All purifiers that configs can name, sorted."""
    return sorted(
        name for name, cls in MODELS.module_dict.items() if isinstance(cls, type) and issubclass(cls, Purifier)
    )
