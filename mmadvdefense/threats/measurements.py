"""Measurements on every image of an epoch, in the order of the data set, whatever the number of processes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Mapping, Optional, Sequence

import torch
from mmengine.dist import collect_results
from torch import Tensor

from ..attacks.balls import changed_pixels
from ..pixels import Layout, Pixels, psnr, stack, unstack
from ..tasks.sample_scores import ERRORS

# Prefix of the columns with a source model's scores on clean images.
SOURCE = 'source/'
# Columns of integers, columns of booleans, and columns that are empty for images without ground truth.
_COUNTS, _FLAGS = ('queries', 'nonfinite', 'decision', 'label'), ('correct', 'worst_draw', 'majority')
_NEED_TRUTH = ('score', 'decision', 'label', *_FLAGS)
# Not known of every attack.
_RISE = 'rise'


@dataclass
class AttackedBatch:
    """The images of a batch, and what was done to them.

    Attributes:
        names: of the images: their files, or else their identities.
        layout: the size of each image inside ``clean`` and ``adversarial``.
        clean: ``(N, 3, H, W)`` pixels 0-255, smaller images padded.
        adversarial: like ``clean``.
        queries: ``(N,)``, how often the source was queried for each; None without an attack.
        purified: the input of the native preprocessor; None until the model has run.
        nonfinite: ``(N,)``, of :class:`~mmadvdefense.attacks.AttackResult`; None without an attack.
        rise: ``(N,)``, of the same; NaN where it is unknown.
        by_area: whether the share of the pixels that were changed is the attack's budget.
        source_scores: ``(N,)`` for each source model, by name: its scores on the clean images.
    """

    names: list[str]
    layout: Layout
    clean: Tensor
    adversarial: Tensor
    queries: Optional[Tensor] = None
    purified: Optional[Pixels] = None
    nonfinite: Optional[Tensor] = None
    rise: Optional[Tensor] = None
    by_area: bool = False
    source_scores: Mapping[str, Tensor] = field(default_factory=dict)

    def measure(self) -> dict[str, Tensor]:
        """``(N,)`` each: L-infinity and L2 norm of the perturbation, PSNR (dB), and what the attack recorded.

        With :attr:`by_area` also the share (0 to 1) of the image's pixels that differ in any channel.
        """
        difference = self.adversarial - self.clean
        delta = difference.flatten(1)
        columns = {'linf': delta.abs().amax(1), 'l2': delta.norm(dim=1), 'psnr': self._quality()}
        if self.by_area:
            pixels = torch.tensor(self.layout.sizes, dtype=delta.dtype).prod(1)
            columns['area'] = changed_pixels(difference).sum((1, 2)) / pixels.to(delta.device)
        recorded = {'queries': self.queries, 'nonfinite': self.nonfinite, _RISE: self.rise}
        columns.update((name, values) for name, values in recorded.items() if values is not None)
        return {**columns, **{f'{SOURCE}{name}': scores for name, scores in self.source_scores.items()}}

    def _quality(self) -> Tensor:
        """PSNR of what the model sees against the clean image; padding does not count."""
        if self.purified is None:
            raise RuntimeError('a batch is measured after the model has run on it')
        clean = self.clean
        if self.layout.is_uniform:
            return psnr(stack(self.purified)[0].float().to(clean.device), clean)
        pairs = zip(self.purified, unstack(clean, self.layout))
        return torch.cat([psnr(image[None].float().to(clean.device), own[None]) for image, own in pairs])


class Measurements:
    """Columns of numbers, one row per image."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._columns: dict[str, list[Tensor]] = {}

    def add(self, names: Sequence[str], columns: Mapping[str, Tensor]) -> None:
        """Add a batch: the names of the images, and numbers ``(N,)`` of any type and device.

        A column that another batch has and this one lacks, or the reverse, is NaN there: not all images can be scored.
        """
        before = len(self._names)
        self._names.extend(names)
        for name in dict.fromkeys([*self._columns, *columns]):
            known = self._columns.setdefault(name, [torch.full((before,), math.nan)] if before else [])
            known.append(columns[name] if name in columns else torch.full((len(names),), math.nan))

    def gather(self, size: int) -> Optional[dict[str, list]]:
        """All rows of all processes, on the first one; None on the others.

        Args:
            size: of the data set; images that the sampler repeats to fill up the last batch are left out.

        Returns:
            Columns by name, ``'image'`` first; with None for the scores of images without ground truth, and for an
            unknown rise. A column of rises that are all unknown is left out.
        """
        columns = [torch.cat(values).double().cpu() for values in self._columns.values()]
        rows = list(zip(self._names, torch.stack(columns, 1).tolist()))
        gathered = collect_results(rows, size, device='cpu')
        if gathered is None:
            return None
        table: dict[str, list] = {'image': [name for name, _ in gathered]}
        for name, values in zip(self._columns, zip(*(row for _, row in gathered))):
            kind = int if name in _COUNTS or name.startswith(ERRORS) else bool if name in _FLAGS else float
            open_ended = name in (*_NEED_TRUTH, _RISE) or name.startswith((SOURCE, ERRORS))
            table[name] = [None if open_ended and math.isnan(value) else kind(value) for value in values]
        if all(value is None for value in table.get(_RISE, ())):
            table.pop(_RISE, None)
        return table


def summary(table: dict[str, list]) -> dict[str, float]:
    """Means and maxima of what :class:`Measurements` gathered, under the names that the runner reports."""
    numbers = {}
    for name in ('linf', 'l2', *(['area'] if 'area' in table else [])):
        numbers[f'perturbation/{name}_mean'] = _mean(table[name])
        numbers[f'perturbation/{name}_max'] = max(table[name])
    # A single image that the attack left unchanged (vanishing gradient) must not make the mean infinite.
    changed = [value for value in table['psnr'] if math.isfinite(value)]
    numbers['purified/psnr'] = _mean(changed) if changed else math.inf
    if 'queries' in table:
        numbers['attack/queries_mean'] = _mean(table['queries'])
        numbers['attack/queries_max'] = max(table['queries'])
    if 'nonfinite' in table:
        numbers['attack/nonfinite_images'] = sum(count > 0 for count in table['nonfinite'])
    for name in (name for name in table if name.startswith(SOURCE)):
        known = [value for value in table[name] if value is not None]
        if known:
            numbers[name] = 100 * _mean(known)
    return numbers


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
