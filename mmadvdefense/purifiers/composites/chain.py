"""Several purifiers in a row."""

from __future__ import annotations

from typing import Sequence

from torch import nn

from ...errors import StateError, UsageError
from ...pixels import Pixels
from ...randomness import Randomness
from ...registry import MODELS
from ...validation import did_you_mean
from ..base import Purifier, purifier_names
from ..trained.generator import GeneratorPurifier
from .base import CompositePurifier

# It only moves images to the device: a member hands its images to the next one, not to the host.
NO_PREPROCESSOR = 'mmengine.BaseDataPreprocessor'


@MODELS.register_module()
class PurifierChain(CompositePurifier):
    """Applies purifiers one after another, each to the output of the one before.

    Nothing in it is trained: train a purifier alone, and give its export to the member as ``init_cfg``.

    Args:
        purifiers: configs, first to last.
        kwargs: of :class:`RandomPurifier`.

    Raises:
        ValueError: for an empty chain, a member that is not a purifier, or one with an unknown setting. Settings of the
            native preprocessor and the ``seed`` belong to the chain.
    """

    def __init__(self, purifiers: Sequence[dict], **kwargs):
        super().__init__(**kwargs)
        if not purifiers:
            raise UsageError("PurifierChain needs at least one purifier, e.g. purifiers=[dict(type='JPEGPurifier')]")
        self.purifiers = nn.ModuleList(self._build(config, index) for index, config in enumerate(purifiers))
        for purifier in self.members:
            self._check_geometry(purifier)

    def _build(self, config: dict, index: int) -> Purifier:
        name = config.get('type')
        cls = MODELS.get(name) if isinstance(name, str) else name
        if not (isinstance(cls, type) and issubclass(cls, Purifier)):
            raise UsageError(
                f'PurifierChain: purifiers[{index}] has type {name!r}, which is not a purifier; '
                f'{did_you_mean(name, purifier_names())}'
            )
        for setting in ('seed', 'native_type'):
            if setting in config:
                raise UsageError(f'PurifierChain: purifiers[{index}] ({name}) has {setting}, a setting of the chain')
        try:
            return MODELS.build({'channel_order': self.channel_order, **config, 'native_type': NO_PREPROCESSOR})
        except (TypeError, UsageError) as error:
            raise UsageError(f'PurifierChain: purifiers[{index}] ({name}): {error}') from error

    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        for purifier in self.members:
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
                    raise StateError(
                        f'PurifierChain does not train its {type(purifier).__name__}: train it alone, export it with '
                        'tools/export_purifier.py, and give the member '
                        "init_cfg=dict(type='Pretrained', checkpoint='purifier.pth')"
                    )
        return super().forward(data, training)
