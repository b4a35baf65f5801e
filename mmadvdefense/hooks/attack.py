"""Attacks validation or test batches, and measures what the attack really did."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.dist import collect_results, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from ..attacks import AttackSource, Randomness, build_attack, derive_seed
from ..checkpoints import check_state_dict
from ..pixels import Pixels, psnr, round_to_8bit, stack, unstack
from ..randomness import image_identity
from ..registry import HOOKS
from ..tasks import annotations_in_input_frame
from .checks import check_num_classes
from .threats import build_source, check_threat_model


@HOOKS.register_module()
class AttackHook(Hook):
    """Replaces the images of each validation or test batch by adversarial ones, before the purifier sees them.

    The metrics of the epoch gain ``perturbation/linf_mean``, ``linf_max``, ``l2_mean``, ``l2_max`` (pixels), measured
    on every image, and ``purified/psnr`` (dB, what the model sees against the clean image: the mean of the images where
    they differ, infinite if there is none).

    Args:
        attack: config of the attack; None leaves images clean and only measures.
        source: None to attack the target itself (white-box on O), or ``dict(config=..., checkpoint=...)`` of another
            model (transfer); ``trust=True`` loads a checkpoint that holds more than data.
        threat_model: what the attacker has and knows, a word of ``mmadvdefense.hooks.THREAT_MODELS`` or a dict with it
            as ``name`` and more settings of :func:`mmadvdefense.hooks.build_source`; by default ``'transfer'`` with a
            source and ``'white-box'`` without one.
        seed: of random starts and targets; an image's numbers depend on it and the image's index alone.
        quantize: round adversarial images to whole pixels, as a saved image file would.
        cache_dir: keep adversarial batches there and take them from there, so that several runs meet the same images.
        stages: where to attack.

    Raises:
        ValueError: for a bad attack, or a source that predicts other classes than the target.
        FileNotFoundError: if the source's checkpoint is missing.
    """

    def __init__(
        self,
        attack: Optional[dict],
        source: Optional[dict] = None,
        threat_model: Optional[Union[str, dict]] = None,
        seed: int = 0,
        quantize: bool = False,
        cache_dir: Optional[Union[str, Path]] = None,
        stages: tuple = ('val', 'test'),
    ):
        self.attack = build_attack(attack) if attack else None
        settings = dict(name=threat_model) if isinstance(threat_model, (str, type(None))) else dict(threat_model)
        self.threat_model = settings.pop('name') or ('transfer' if source else 'white-box')
        check_threat_model(self.threat_model, source)
        self._source_settings = dict(settings, source=source)
        self.seed = seed
        self.quantize = quantize
        self.cache_dir = Path(cache_dir) if cache_dir else None
        self.stages = stages
        self._source: Optional[AttackSource] = None
        self._handle = None

    # --- set-up ---------------------------------------------------------------------------------------------

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not self.stages:
            return
        report = check_state_dict(_unwrap(runner.model), checkpoint.get('state_dict', checkpoint))
        runner.logger.info(str(report))

    def _begin(self, runner, dataset) -> None:
        target = _unwrap(runner.model)
        check_num_classes(target, dataset)
        self._annotations_in_input_frame = annotations_in_input_frame(dataset)
        if self._source is None and self.attack is not None:
            self._source = build_source(target, self.threat_model, **self._source_settings)
        self._count = 0
        self._measured: list[list[torch.Tensor]] = []
        self._purified: Optional[Pixels] = None
        native = getattr(target.data_preprocessor, 'native', target.data_preprocessor)
        self._handle = native.register_forward_pre_hook(self._note_purified)

    def release(self) -> None:
        """Forget the source model, so that a grid of sources holds one at a time."""
        self._source = None

    def _note_purified(self, module: nn.Module, args: tuple) -> None:
        self._purified = args[0]['inputs']

    # --- every batch ----------------------------------------------------------------------------------------

    def _perturb(self, runner, batch_idx: int, data_batch: dict) -> None:
        preprocessor = _unwrap(runner.model).data_preprocessor
        inputs = preprocessor.cast_data(data_batch['inputs'])
        self._clean, self._layout = stack(
            inputs.float() if isinstance(inputs, torch.Tensor) else [i.float() for i in inputs]
        )
        self._adversarial = self._clean
        if self.attack is not None:
            self._adversarial = self._cached(batch_idx, unstack(self._clean, self._layout), data_batch['data_samples'])
            data_batch['inputs'] = unstack(self._adversarial, self._layout)

    def _cached(self, batch_idx: int, clean: Pixels, samples) -> torch.Tensor:
        path = self.cache_dir / f'{get_rank()}_{batch_idx}.pt' if self.cache_dir else None
        if path is not None and path.exists():
            return torch.load(path, weights_only=True).to(self._clean.device)
        seeds = [derive_seed(self.seed, 'test', self._identity(i, sample)) for i, sample in enumerate(samples)]
        samples = self._source.task.in_input_frame(samples, self._annotations_in_input_frame)
        # Some hosts' losses draw from global state (sampled proposals, denoising queries).
        devices = [self._clean.device] if self._clean.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(derive_seed(*seeds))
            adversarial = stack(self.attack(self._source, clean, samples, Randomness(seeds)))[0]
        if self.quantize:
            adversarial = round_to_8bit(adversarial)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(adversarial.cpu(), path)
        return adversarial

    def _identity(self, position: int, sample) -> str:
        """What tells an image from others whatever the batch size and the number of ranks."""
        # MMEngine's sampler deals images out to the ranks in turn.
        return image_identity(sample) or str((self._count + position) * get_world_size() + get_rank())

    def _measure(self, batch_size: int) -> None:
        delta = (self._adversarial - self._clean).flatten(1)
        quality = self._quality(self._purified)
        row = [delta.abs().amax(1), delta.norm(dim=1), quality]
        self._measured.append(row)
        self._count += batch_size

    def _quality(self, purified: Pixels) -> torch.Tensor:
        if self._layout.is_uniform:
            return psnr(stack(purified)[0].float().to(self._clean.device), self._clean)
        pairs = zip(purified, unstack(self._clean, self._layout))
        return torch.cat([psnr(image[None].float().to(clean.device), clean[None]) for image, clean in pairs])

    def _finish(self, metrics: dict, size: int) -> None:
        self._handle.remove()
        rows = torch.stack([torch.cat(column) for column in zip(*self._measured)], 1).cpu()
        gathered = collect_results(list(rows), size, device='cpu')
        if gathered is None:
            return
        linf, l2, quality = torch.stack(gathered).unbind(1)
        # One image that an attack did not change (its gradient vanished) must not make the mean infinite.
        changed = quality[quality.isfinite()]
        metrics.update(
            {
                'perturbation/linf_mean': linf.mean().item(),
                'perturbation/linf_max': linf.max().item(),
                'perturbation/l2_mean': l2.mean().item(),
                'perturbation/l2_max': l2.max().item(),
                'purified/psnr': changed.mean().item() if len(changed) else math.inf,
            }
        )

    # --- the runner's stages --------------------------------------------------------------------------------

    def before_val_epoch(self, runner) -> None:
        if 'val' in self.stages:
            self._begin(runner, runner.val_dataloader.dataset)

    def before_test_epoch(self, runner) -> None:
        if 'test' in self.stages:
            self._begin(runner, runner.test_dataloader.dataset)

    def before_val_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        if 'val' in self.stages:
            self._perturb(runner, batch_idx, data_batch)

    def before_test_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        if 'test' in self.stages:
            self._perturb(runner, batch_idx, data_batch)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if 'val' in self.stages:
            self._measure(len(self._clean))

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if 'test' in self.stages:
            self._measure(len(self._clean))

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        if 'val' in self.stages:
            self._finish(metrics, len(runner.val_dataloader.dataset))

    def after_test_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        if 'test' in self.stages:
            self._finish(metrics, len(runner.test_dataloader.dataset))


def _unwrap(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model
