"""Certificates put to the test: attacks that must not succeed, since they stay inside the certified radius."""

from __future__ import annotations

import time
from typing import Any, Optional, Sequence

from rich.console import Console
from torch import Tensor

from ...attacks import AttackSource, Randomness, build_attack
from ...randomness import image_seeds
from .countdown import Countdown
from .row_file import RowFile
from .smoothed import SmoothedModel
from .summary import Row

STEPS = 20
# Draws of the noise over which a gradient is averaged.
EOT_SAMPLES = 8
# Votes of the prediction on an attacked image.
VOTES = 1000


def attack_inside(smoothed: SmoothedModel, image: Tensor, data_sample: Any, radius: float) -> Tensor:
    """The image of PGD in L2 whose budget is a radius, with the mean gradient over draws of the noise (EOT).

    This is the adaptive attacker, who has model, purifier and sigma.

    Args:
        smoothed: a classifier.
        image: pixels 0-255, ``(3, H, W)``.
        data_sample: with the label that the attack leads away from.
        radius: in pixels, above 0.

    Returns:
        Pixels 0-255, ``(3, H, W)``, on the model's device.
    """
    attack = build_attack(dict(type='PGD', norm='l2', eps=radius, step_size=2.5 * radius / STEPS, steps=STEPS))
    votes = smoothed.votes
    source = AttackSource(votes.task.model, defense=votes.noisy, eot_samples=EOT_SAMPLES)
    seeds = image_seeds(smoothed.seed, 'attack', [image], [data_sample])
    pixels = image.to(source.device).float()[None]
    return attack.run(source, pixels, [data_sample], Randomness(seeds)).images[0]


def check_certificates(
    smoothed: SmoothedModel,
    dataset: Any,
    certified: Sequence[Row],
    number: int,
    rows: RowFile,
    title: str,
    console: Optional[Console] = None,
) -> None:
    """Attack images that are certified for their true class, each inside its radius.

    Args:
        smoothed: the classifier.
        dataset: whose items are ``dict(inputs=..., data_samples=...)``.
        certified: rows of its images.
        number: how many of them to attack, the first that are certified.
        rows: gain ``index``, ``radius``, ``distance`` (L2, pixels), ``predicted`` (None if the classifier abstains) and
            ``label``.
        title: for the lines of progress.
        console: for progress; by default the standard output.
    """
    chosen = [row for row in certified if row['predicted'] == row['label'] and row['radius'] > 0][:number]
    progress = Countdown(title, len(chosen), sum(row['index'] in rows.rows for row in chosen), console)
    for row in chosen:
        index = row['index']
        if index in rows.rows:
            continue
        start = time.perf_counter()
        item = dataset[index]
        image, sample = item['inputs'], item['data_samples']
        attacked = attack_inside(smoothed, image, sample, row['radius'])
        prediction = smoothed.predict(attacked, sample, n=VOTES)
        rows.append(
            {
                'index': index,
                'label': row['label'],
                'radius': row['radius'],
                'distance': float((attacked.cpu() - image.float()).norm()),
                'predicted': prediction.label,
                'seconds': round(time.perf_counter() - start, 3),
            }
        )
        progress.advance()
