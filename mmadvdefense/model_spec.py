"""A model by its files, as configs and command lines name it."""

from __future__ import annotations

import os
from dataclasses import InitVar, asdict, dataclass
from pathlib import Path
from typing import Any, Collection, Mapping, Optional, Sequence

from torch import nn

from .checkpoints import PREPROCESSOR, load_target
from .compat import check_checkpoint
from .errors import UsageError
from .models import build_model
from .pipelines import config_channel_order

_OPTIONAL = {'trust': 'trust=True', 'channel_order': "channel_order='bgr' or 'rgb'"}


@dataclass(frozen=True)
class ModelSpec:
    """A model as a config and a checkpoint.

    Attributes:
        config: config file, or one inside a package, such as ``'mmpretrain::resnet/resnet18_8xb16_cifar10.py'``.
        checkpoint: file or URL of the weights; None for a model that loads them itself, such as a
            :class:`~mmadvdefense.purifiers.composites.defended_ensemble.DefendedEnsemble`.
        trust: whether to load a checkpoint that holds more than weights and plain data, which can run any code.
        channel_order: ``'bgr'`` or ``'rgb'``, the order of the images that the model was trained on; None to read it
            off the config.
        what: what the model is for, as error messages name it; not kept.

    Raises:
        UsageError: if one of these has a value of the wrong kind.
    """

    config: str
    checkpoint: Optional[str]
    trust: bool = False
    channel_order: Optional[str] = None
    what: InitVar[str] = 'the model'

    def __post_init__(self, what: str) -> None:
        for name, value in (('config', self.config), ('checkpoint', self.checkpoint)):
            if isinstance(value, os.PathLike):
                object.__setattr__(self, name, os.fspath(value))
            elif not (isinstance(value, str) and value) and not (value is None and name == 'checkpoint'):
                raise UsageError(f'the {name} of {what} must be the path of a file, got {value!r}')
        if not isinstance(self.trust, bool):
            raise UsageError(f'trust of {what} must be True or False, got {self.trust!r}')
        if self.channel_order not in (None, 'bgr', 'rgb'):
            raise UsageError(f"channel_order of {what} must be 'bgr' or 'rgb', got {self.channel_order!r}")

    @classmethod
    def parse(
        cls,
        spec: object,
        what: str = 'the model',
        optional: Collection[str] = tuple(_OPTIONAL),
        loads_itself: bool = False,
    ) -> ModelSpec:
        """Read a model from the dict by which a config names it.

        Args:
            spec: ``dict(config=..., checkpoint=..., trust=False, channel_order=None)``; a :class:`ModelSpec` is
                returned as it is.
            what: what the model is for, as error messages name it: ``'a member of the ensemble'``.
            optional: which of ``trust`` and ``channel_order`` make sense here.
            loads_itself: whether ``checkpoint=None`` is allowed.

        Raises:
            UsageError: if it is not such a dict; the message names ``what`` and shows the form.
        """
        if isinstance(spec, cls):
            return spec
        form = ', '.join(['config=...', 'checkpoint=...', *(f'[{_OPTIONAL[name]}]' for name in optional)])
        if not isinstance(spec, Mapping):
            raise UsageError(f'{what} must be dict({form}), got {spec!r}')
        needed = ['config'] if loads_itself and 'checkpoint' in spec else ['config', 'checkpoint']
        missing = [name for name in needed if spec.get(name) is None]
        unknown = [str(name) for name in spec if name not in ('config', 'checkpoint', *optional)]
        if missing or unknown:
            problem = f'no {" and no ".join(missing)}' if missing else f'unknown settings ({", ".join(unknown)})'
            raise UsageError(f'{what} has {problem}: it must be dict({form}), got {dict(spec)!r}')
        given = {name: value for name, value in spec.items() if value is not None or name == 'checkpoint'}
        return cls(**given, what=what)

    @property
    def name(self) -> str:
        """Name of the config file, without its folder and ending."""
        return Path(self.config).stem

    def as_dict(self) -> dict[str, Any]:
        """JSON-plain; :meth:`parse` reads it back."""
        return {name: value for name, value in asdict(self).items() if value is not None or name == 'checkpoint'}

    def check_files(self, what: str = 'the model') -> None:
        """Check that both files can be loaded, in no time and before any work is lost.

        Raises:
            FileNotFoundError: if one is missing.
            UsageError: if the checkpoint is damaged.
            mmadvdefense.compat.CheckpointRefused: if the checkpoint holds more than data and is not trusted.
        """
        # MMEngine finds configs inside packages by itself.
        if '::' not in self.config and not Path(self.config).exists():
            raise FileNotFoundError(f'config of {what} not found: {self.config}')
        if self.checkpoint is None:
            return
        try:
            check_checkpoint(self.checkpoint, self.trust)
        except FileNotFoundError as error:
            raise FileNotFoundError(f'checkpoint of {what} not found: {self.checkpoint}') from error

    def build(self) -> nn.Module:
        """The model on the CPU, with the weights it was initialized with."""
        return build_model(self.config)

    def fill(self, model: nn.Module, ignore: Sequence[str] = PREPROCESSOR) -> None:
        """Load the checkpoint into the model that :meth:`build` returned; nothing to do for one that loads itself.

        Args:
            model: must be filled completely.
            ignore: as for :func:`mmadvdefense.checkpoints.load_target`, which lists the errors.
        """
        if self.checkpoint is not None:
            load_target(model, self.checkpoint, trust=self.trust, ignore=ignore)

    def load(self) -> nn.Module:
        """The trained model, on the CPU and in the mode in which it was built."""
        model = self.build()
        self.fill(model)
        return model

    def image_order(self) -> Optional[str]:
        """Channel order of the images that the model was trained on; None if neither spec nor config tells."""
        return self.channel_order or config_channel_order(self.config)
