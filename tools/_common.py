"""What the command-line tools share."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Callable

from mmengine.config import Config, DictAction

from mmadvdefense.compat import check_checkpoint
from mmadvdefense.errors import MMAdvDefenseError, UsageError
from mmadvdefense.models import read_config

# MMCV's words, alone or at the end of the traceback of a data loader's worker.
_UNREADABLE = re.compile(r'failed to load image: (.+)')


class SettingsAction(DictAction):
    """MMEngine's reading of ``key=value``, which recurses without an end where a list holds a dict."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:
            parser.error(f'{option_string}: {error}')
        except RecursionError:
            parser.error(
                f'{option_string} takes numbers, words, lists and tuples, and no dict(...), as in {" ".join(values)}: '
                'set one key at a time, such as custom_hooks.0.attack.eps=4, or write it into a config file'
            )


def pixels(text: str) -> float:
    """A size on the command line, in pixels (0-255)."""
    try:
        return float(text)
    except ValueError:
        value, _, whole = text.partition('/')
        hint = f'; {text} of papers is {value}' if whole == '255' else ''
        raise ArgumentTypeError(f'{text!r} is not a number of pixels (0-255){hint}') from None


def add_common_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('--work-dir', help='where logs and results go (default: ./work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=SettingsAction,
        help='override settings of the config: key=value, nested keys with dots, lists as key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='load checkpoints that hold more than weights and plain data; loading them can run any code in them',
    )
    # torch.distributed.launch passes --local-rank.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')


def load_config(arguments: Namespace) -> Config:
    """Read the config and apply the arguments that every tool has."""
    os.environ.setdefault('LOCAL_RANK', str(arguments.local_rank))
    if '::' not in arguments.config and not Path(arguments.config).exists():
        raise UsageError(f'config not found: {arguments.config}')
    config = read_config(arguments.config)
    if arguments.cfg_options:
        config.merge_from_dict(arguments.cfg_options)
    config.launcher = arguments.launcher
    if arguments.work_dir:
        config.work_dir = arguments.work_dir
    elif not config.get('work_dir'):
        config.work_dir = str(Path('work_dirs') / Path(arguments.config).stem)
    return config


def require_checkpoint(path: str, what: str, trust: bool) -> None:
    """Fail now, and not after minutes of set-up, if a checkpoint is missing or cannot be loaded."""
    try:
        check_checkpoint(path, trust=trust)
    except FileNotFoundError as error:
        raise UsageError(f'{what} not found: {path}') from error


def _explained(error: Exception) -> str:
    """The error's own words; those of a host that does not find a list of images are a number and a name."""
    if not isinstance(error, FileNotFoundError) or error.errno is None:
        return str(error)
    where = '' if os.path.isabs(error.filename) else f' in {Path.cwd()}'
    return f'there is no {error.filename}{where}: put what the config names there, or start where it is'


def run(main: Callable[[], None]) -> None:
    """Show errors that explain themselves as one line, and any other with its traceback."""
    try:
        main()
    except (MMAdvDefenseError, OSError) as error:
        sys.exit(f'error: {_explained(error)}')
    except AssertionError as error:
        unreadable = _UNREADABLE.findall(str(error))
        if not unreadable:
            raise
        sys.exit(f'error: {unreadable[-1]} is no image that can be read: replace it, or take it out of the data set')
