"""Hooks for MMEngine's runner."""

from .acceleration import ChannelsLastHook, CompileHook
from .adversarial_train import AdversarialTrainingHook
from .adversarial_visualization import AdversarialVisualizationHook
from .amplification import ErrorAmplificationHook
from .attack import AttackHook
from .attack_schedule import AttackScheduleHook
from .example_images import ExampleImagesHook
from .finite_guard import FiniteLossGuardHook
from .free_replay import FreeReplayHook
from .purifier_train import PurifierTrainHook
from .robustness_probe import RobustnessProbeHook
from .time_limit import TimeLimitHook
from .validation_loss import PurifierValLossHook

__all__ = [
    'AdversarialTrainingHook',
    'AdversarialVisualizationHook',
    'AttackHook',
    'AttackScheduleHook',
    'ChannelsLastHook',
    'CompileHook',
    'ErrorAmplificationHook',
    'ExampleImagesHook',
    'FiniteLossGuardHook',
    'FreeReplayHook',
    'PurifierTrainHook',
    'PurifierValLossHook',
    'RobustnessProbeHook',
    'TimeLimitHook',
]
