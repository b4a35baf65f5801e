"""Versions and defects of what this package is built on: what is required, and what is patched."""

from __future__ import annotations

import functools
import logging
import os
import pickle
import re
import warnings
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from .errors import DependencyError, MMAdvDefenseError, UsageError
from .hosts import HOSTS

MMCV_COMMAND = (
    "MMCV_WITH_OPS=1 pip install --no-build-isolation 'mmcv==2.1.0' "
    "(after torch, 'setuptools<81' and ninja), or `make` in a clone of mmadvdefense"
)


class Requirement(NamedTuple):
    """A dependency: its name, the versions that will do, the distributions that provide it, and how to install it."""

    name: str
    versions: str = ''
    distributions: tuple[str, ...] = ()
    command: str = ''


REQUIREMENTS = (
    Requirement('packaging'),  # first, because the others' versions are compared with it
    Requirement('torch', '>=2.0'),
    Requirement('numpy'),
    Requirement('terminaltables'),
    Requirement('rich'),
    Requirement('scipy'),
    Requirement('mmengine', '>=0.10.4,<0.11', ('mmengine', 'mmengine-lite')),
    # PyPI has no wheel of 2.1.0, an isolated build leaves the ops out silently, and mmdet 3.3.0 refuses 2.2.0.
    Requirement('mmcv', '>=2.0.0rc4,<2.2.0', ('mmcv', 'mmcv-lite'), MMCV_COMMAND),
)


class CheckpointRefused(MMAdvDefenseError, RuntimeError):
    """A checkpoint holds more than data, and nobody has said that it can be trusted."""


def apply() -> None:
    """Check the dependencies and patch what can be patched quickly; called when the package is imported.

    Raises:
        ImportError: If a dependency is missing or unsuitable.
    """
    require_dependencies()
    allow_mmengine_checkpoints()
    # MMEngine imports it to find the configs of other packages, and nobody who reads the warning can change that.
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)


def apply_for_scope(scope: Optional[str]) -> None:
    """Patch a host; called once its default scope is known, because importing a host takes seconds.

    Args:
        scope: A default scope of MMEngine, such as ``'mmdet'``. Scopes without a known defect are ignored.
    """
    for patch in _patches().get(scope or '', ()):
        patch()


def _patches() -> dict[str, tuple[Callable[[], bool], ...]]:
    """By the scope of the host that has the defects. All hosts read images through mmcv."""
    return {
        'mmpretrain': (patch_image_reading,),
        'mmseg': (patch_image_reading, patch_weighted_cross_entropy),
        'mmdet': (patch_image_reading, patch_ssd_head),
    }


# Dependencies -------------------------------------------------------------------------------------------------------


def require_dependencies() -> None:
    """Check that suitable versions of what this package imports are installed, without importing them.

    Raises:
        ImportError: One line with all that is missing or unsuitable, the versions found, and the commands to install
            what is needed.
    """
    complaints = [complaint for complaint in map(_complaint, REQUIREMENTS) if complaint]
    if complaints:
        raise DependencyError('mmadvdefense ' + '; '.join(complaints))


def require_host(name: str) -> None:
    """Check that a suitable version of a host is installed, before it is imported.

    Args:
        name: A scope (``'mmdet'``, ``'mmseg'``, ``'mmpretrain'``) or the name of its distribution
            (``'mmsegmentation'``).

    Raises:
        ImportError: One line with what is missing and the command that installs it.
        ValueError: If ``name`` is not a host that this package knows.
    """
    host = next((host for host in HOSTS.values() if name in (host.scope, host.distribution)), None)
    if host is None:
        raise UsageError(f'{name!r} is not a host of mmadvdefense; the hosts are {", ".join(sorted(HOSTS))}')
    complaint = _complaint(Requirement(host.distribution, host.versions))
    if complaint:
        raise DependencyError(f'a model of the scope {host.scope!r} {complaint}')
    if host.needs_ops and find_spec('mmcv._ext') is None:
        raise DependencyError(
            f'a model of the scope {host.scope!r} needs mmcv with its ops, found without: {MMCV_COMMAND}'
        )


def _complaint(requirement: Requirement) -> str:
    """What is wrong with the installed version of ``requirement`` and what to do about it; empty if it will do."""
    wanted = requirement.name + requirement.versions
    command = requirement.command or f"pip install '{wanted}'"
    found = _version(*(requirement.distributions or (requirement.name,)))
    if found is None:
        return f'needs {wanted}, found none: {command}'
    if requirement.versions and not _is_within(found, requirement.versions):
        return f'needs {wanted}, found {found}: {command}'
    return ''


def _version(*distributions: str) -> Optional[str]:
    """The version of the first of these distributions that is installed."""
    for distribution in distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def _is_within(version: str, versions: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True  # that it is missing is a complaint of its own
    return SpecifierSet(versions).contains(version, prereleases=True)


# Checkpoints --------------------------------------------------------------------------------------------------------


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load`` read what MMEngine's own checkpoints contain, and nothing that can run code.

    From torch 2.6 on, ``torch.load`` defaults to ``weights_only=True``, and mmengine 0.10.7 can neither resume nor load
    what it wrote (upstream: https://github.com/open-mmlab/mmengine/issues/1655). Its main branch has since switched
    the protection off; here it stays on. The containers of numbers and settings that a
    :class:`mmengine.runner.Runner` puts into its checkpoints are allowed. ``getattr``, which they contain as well, is
    replaced by :func:`_named_method`. Earlier versions of torch need no such list.
    """
    if not _load_is_restricted():
        return
    import numpy as np
    import torch
    from mmengine.config import ConfigDict
    from mmengine.logging import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

    # These functions are private and moved with NumPy 2, so they are taken from the objects that need them.
    reconstruct, scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    allowed: list[Any] = [HistoryBuffer, OneCycleParamScheduler, ConfigDict, np.ndarray, np.dtype]
    allowed += {type(np.dtype(code)) for code in np.typecodes['AllInteger'] + 'efdFD?'}
    # The checkpoints of the model zoos were written with NumPy 1 and use the first of these names.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    allowed.append((_named_method, 'builtins.getattr'))
    torch.serialization.add_safe_globals(allowed)


def _named_method(owner: Any, name: Any) -> Any:
    """Stands in for ``getattr`` in checkpoints, where pickle uses it to refer to a method.

    A :class:`HistoryBuffer` is saved with its statistics and a one-cycle scheduler with its curve; nothing else is
    allowed.

    Raises:
        pickle.UnpicklingError: For any other attribute.
    """
    from mmengine.logging import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(HistoryBuffer, name)
    if owner is OneCycleParamScheduler and name in ('_annealing_cos', '_annealing_linear'):
        return getattr(OneCycleParamScheduler, name)
    raise pickle.UnpicklingError(f'getattr({getattr(owner, "__name__", type(owner).__name__)}, {name!r})')


def check_checkpoint(path: str | os.PathLike[str], trust: bool = False) -> None:
    """Check that a checkpoint can be loaded and holds nothing but data, before MMEngine loads it.

    Only the structure is read, which takes hardly any time or memory. Addresses with a scheme (``https://``,
    ``torchvision://``, ...) are left to MMEngine, all but ``zoo://``. Before torch 2.6, loading is not restricted, and
    only the existence of the file is checked.

    Args:
        path: The checkpoint.
        trust: Whether to allow a checkpoint that can run code when it is loaded. If this one can, torch's own
            environment variable tells ``torch.load`` to allow it, for the rest of the process.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a checkpoint, or is damaged; from :func:`mmadvdefense.zoo.zoo_file`.
        CheckpointRefused: If it holds more than data and is not trusted.
    """
    from .zoo import local_file

    path = local_file(path)
    if '://' in os.fspath(path):
        return
    path = Path(path).expanduser()
    if not path.is_file():
        where = '' if path.is_absolute() else f' in {Path.cwd()}'
        raise FileNotFoundError(f'there is no checkpoint {path}{where}')
    foreign = _foreign_content(path) if _load_is_restricted() else []
    if not foreign:
        return
    names = ', '.join(foreign)
    if not trust:
        raise CheckpointRefused(
            f'{path} holds more than data and could run code when it is loaded: {names}. '
            'If you trust where it comes from, add --trust-checkpoint'
        )
    if os.environ.get('TORCH_FORCE_WEIGHTS_ONLY_LOAD') in ('1', 'y', 'yes', 'true'):
        raise CheckpointRefused(f'{path} needs {names}, and TORCH_FORCE_WEIGHTS_ONLY_LOAD is set, which forbids it')
    from mmengine.logging import print_log

    print_log(
        f'TRUSTED as asked: {path} may run any code when it is loaded ({names}). From now on this process loads all '
        'checkpoints without restriction (TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1)',
        logger='current',
        level=logging.WARNING,
    )
    os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'


def _load_is_restricted() -> bool:
    """Whether ``torch.load`` defaults to ``weights_only=True``."""
    version = _version('torch')
    return version is not None and _is_within(version, '>=2.6')


def _foreign_content(path: Path) -> list[str]:
    """The names of what a checkpoint holds beyond the data that is allowed.

    Raises:
        ValueError: If ``path`` is not a checkpoint, or is damaged.
    """
    import torch

    with path.open('rb') as file:
        head = file.read(len(_LEGACY_HEAD))
    is_zip = head.startswith(b'PK\x03\x04')
    if not is_zip and head != _LEGACY_HEAD:
        raise UsageError(f'{path} is not a checkpoint of PyTorch, or it is damaged: its first bytes are {head[:8]!r}')
    try:
        # First, because it lists all names, where loading stops at the first. It does not know the old format.
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path) if is_zip else []
        if not foreign:
            # On the meta device no weight is read. Loading shows how the names are used, which they do not tell.
            torch.load(path, map_location='meta', weights_only=True)
    except pickle.UnpicklingError as error:
        return [_offender(str(error))]
    except (RuntimeError, ValueError, EOFError, KeyError, OSError) as error:
        reason = str(error).strip().partition('\n')[0] or type(error).__name__
        raise UsageError(f'{path} is not a checkpoint of PyTorch, or it is damaged: {reason}') from error
    return sorted(foreign)


# How checkpoints in the format from before torch 1.6 begin: the pickled number by which torch recognizes them.
_LEGACY_HEAD = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


def _offender(message: str) -> str:
    """The type or instruction that torch's long message is about."""
    found = re.search(r'GLOBAL (\S+)', message)
    return found[1] if found else message.rpartition('WeightsUnpickler error: ')[2].strip().partition('\n')[0]


# Defects of hosts ---------------------------------------------------------------------------------------------------


class _AbsentLoss:
    """The ``loss_cls`` of a head that has none: None, until it is given one.

    Not a plain class attribute, which would hide a ``loss_cls`` that a subclass keeps among its modules.
    """

    def __get__(self, head: Any, owner: Optional[type] = None) -> Any:
        return self if head is None else head._modules.get('loss_cls')


def patch_ssd_head() -> bool:
    """Give MMDetection's ``SSDHead`` the attribute without which every SSD crashes in ``predict``.

    ``predict`` checks whether ``self.loss_cls`` has an activation of its own, and the ``SSDHead`` of mmdet 3.3.0 has no
    ``loss_cls``. None has no activation, which is correct for SSD. Upstream:
    https://github.com/open-mmlab/mmdetection/issues/11063, 11305 and 11780, with a proposal in pull request 11524.

    Returns:
        Whether the defect was there (and is patched now).
    """
    if find_spec('mmdet') is None:
        return False
    from mmdet.models.dense_heads import SSDHead

    def mentions_loss(function: Any) -> bool:
        return 'loss_cls' in function.__code__.co_names

    reads = mentions_loss(SSDHead._predict_by_feat_single)
    if not reads or mentions_loss(SSDHead.__init__) or hasattr(SSDHead, 'loss_cls'):
        return False
    SSDHead.loss_cls = _AbsentLoss()
    return True


def patch_weighted_cross_entropy() -> bool:
    """Let MMSegmentation's cross-entropy with class weights ignore pixels, as it does without them.

    To take the mean it looks up the weight of every label, which fails for the label of ignored pixels and of padding.
    Here they do not count in the mean, as in PyTorch. Upstream:
    https://github.com/open-mmlab/mmsegmentation/issues/3412, 3734 and 3831, with a proposal in pull request 3457.

    Returns:
        Whether the defect was there (and is patched now).
    """
    if find_spec('mmseg') is None:
        return False
    from torch import Tensor

    losses: Any = import_module('mmseg.models.losses.cross_entropy_loss')
    original = losses.cross_entropy
    if not _fails_on_ignored_pixels(original):
        return False

    @functools.wraps(original)
    def cross_entropy(
        pred: Tensor,
        label: Tensor,
        weight: Optional[Tensor] = None,
        class_weight: Optional[Tensor] = None,
        reduction: str = 'mean',
        avg_factor: Optional[Tensor] = None,
        ignore_index: int = -100,
        **settings: Any,
    ) -> Tensor:
        if class_weight is not None and avg_factor is None and reduction == 'mean':
            known = label != ignore_index
            avg_factor = (class_weight[label.where(known, 0)] * known).sum()
        return original(pred, label, weight, class_weight, reduction, avg_factor, ignore_index, **settings)

    losses.cross_entropy = cross_entropy
    return True


def _fails_on_ignored_pixels(cross_entropy: Any) -> bool:
    import torch

    try:
        cross_entropy(torch.zeros(1, 2, 1), torch.tensor([[255]]), class_weight=torch.ones(2), ignore_index=255)
    except IndexError:
        return True
    return False


def patch_image_reading() -> bool:
    """Let MMCV treat empty files and truncated JPEGs like other files that are not images.

    For those ``mmcv.imfrombytes`` returns None, and its transforms name the file. For an empty file OpenCV raises an
    error that does not name it, and before version 5 it silently makes up the missing part of a JPEG. Pillow, the
    other backend, raises errors of its own.

    Returns:
        Whether the defect was there (and is patched now).
    """
    import mmcv

    original = mmcv.imfrombytes
    if not _misreads_files(original):
        return False

    @functools.wraps(original)
    def imfrombytes(
        content: bytes, flag: str = 'color', channel_order: str = 'bgr', backend: Optional[str] = None
    ) -> Any:
        if (backend or mmcv.image.io.imread_backend) == 'cv2' and (not content or _is_truncated(content)):
            return None
        return original(content, flag, channel_order, backend)

    mmcv.imfrombytes = imfrombytes
    return True


def _misreads_files(imfrombytes: Any) -> bool:
    import cv2
    import numpy as np

    whole = cv2.imencode('.jpg', np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    try:
        return any(imfrombytes(content, backend='cv2') is not None for content in (b'', whole[: len(whole) // 2]))
    except cv2.error:
        return True


def _is_truncated(content: bytes) -> bool:
    """Whether a JPEG has no end marker after its last scan; neither marker can occur inside a scan."""
    start, scan, end = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
    return content.startswith(start) and content.rfind(end) < content.rfind(scan)
