"""Crafts the adversarial images of a training batch, by attacks on the target or on other models."""

from __future__ import annotations

from typing import Optional, Sequence, Union

from ..attacks import Attack, AttackSource, CleanReference, EnsembleSource, Randomness, build_attack
from ..errors import StateError, UsageError
from ..model_spec import ModelSpec
from ..pixels import Pixels
from ..purifiers import Purifier
from ..threats.checks import check_same_classes
from ..threats.sources import build_source

TARGET = 'target'
PROTECTED = 'protected'
# The target, the target behind its purifier, another model, or several of these as an ensemble.
SourceConfig = Union[str, dict, Sequence[Union[str, dict]]]
_Model = Union[str, ModelSpec]


class TrainingAttack:
    """Draws an attack and a source for each batch, and runs the attack on the source.

    Args:
        attack: config of an attack, or several. An attack with its own ``sources`` runs on those.
        sources: the attacked models: ``'target'``, ``'protected'`` (the target behind the current purifier, in eval
            mode, with the gradient through both), another model as ``dict(config=..., checkpoint=...)``, or a list of
            those, which forms one source, an ensemble with averaged class scores. None for the target only.
        labels: ``'truth'``, or ``'predicted'`` for the source's own predictions on the clean images, which avoids label
            leaking by one-step attacks (Kurakin et al., ICLR 2017).

    Raises:
        ValueError: for an invalid attack, source or kind of labels.
    """

    def __init__(
        self,
        attack: Union[dict, Sequence[dict]],
        sources: Optional[Sequence[SourceConfig]] = None,
        labels: str = 'truth',
    ):
        if labels not in ('truth', 'predicted'):
            raise UsageError(f"labels of a training attack must be 'truth' or 'predicted', got {labels!r}")
        configs: list[dict] = [attack] if isinstance(attack, dict) else list(attack)
        if not configs:
            raise UsageError("training needs at least one attack, e.g. attack=dict(type='FGSM', eps=8)")
        self.labels = labels
        self.attacks: list[Attack] = []
        self._configs: list[list[list[_Model]]] = []
        for config in configs:
            config = dict(config)
            self._configs.append(_checked(config.pop('sources', sources)))
            self.attacks.append(build_attack(config))
        self._target: Optional[AttackSource] = None
        self._sources: list[list[AttackSource]] = []

    def prepare(self, target: AttackSource) -> None:
        """Load the source models.

        Raises:
            ValueError: for a source whose classes differ from the target's, or an attack that cannot run on its source.
            FileNotFoundError: if a source's checkpoint is missing.
        """
        if self.labels == 'predicted' and not target.task.has_class_scores:
            raise UsageError(
                f"a {target.task.noun} does not predict one label per true label: labels='predicted' is not for "
                f'{target.task.name}'
            )
        self._target = target
        models: dict[_Model, AttackSource] = {}
        self._sources = [
            [_build(source, target, models, attack) for source in sources]
            for attack, sources in zip(self.attacks, self._configs)
        ]
        for attack, sources in zip(self.attacks, self._sources):
            for source in sources:
                attack.check_source(source)

    @property
    def all_sources(self) -> list[AttackSource]:
        """All attacked sources, without duplicates."""
        return list({id(source): source for sources in self._sources for source in sources}.values())

    def release(self) -> None:
        """Release the source models."""
        self._target, self._sources = None, []

    def __call__(
        self,
        clean: Pixels,
        data_samples: Sequence,
        randomness: Randomness,
        reference: Optional[CleanReference] = None,
        share: float = 1.0,
    ) -> Pixels:
        """Adversarial images in the layout of ``clean``.

        Args:
            clean: float pixels 0-255 on the target's device.
            data_samples: the host's data samples; not modified.
            randomness: random numbers of the batch.
            reference: the target's output on ``clean``; computed if it is not given.
            share: share of the attack's budget and step size that is used.
        """
        target = self._target
        if target is None:
            raise StateError('a TrainingAttack can only run between prepare() and release()')
        number = randomness.derive('attack').choice(len(self.attacks))
        sources = self._sources[number]
        source = sources[randomness.derive('source').choice(len(sources))]
        if source is not target or reference is None:
            reference = CleanReference(source, clean)
        if self.labels == 'predicted' and self.attacks[number].needs_labels:
            data_samples = target.task.relabel_as_predicted(data_samples, reference.logits)
        attack = self.attacks[number] if share == 1 else self.attacks[number].scaled(share)
        return attack(source, clean, data_samples, randomness, reference)


class NoAttack(TrainingAttack):
    """Leaves images as they are, for a generator that is trained on clean ones alone."""

    def __init__(self) -> None:
        self.labels, self.attacks, self._configs = 'truth', [], []
        self._target, self._sources = None, []

    def __call__(
        self,
        clean: Pixels,
        data_samples: Sequence,
        randomness: Randomness,
        reference: Optional[CleanReference] = None,
        share: float = 1.0,
    ) -> Pixels:
        return clean


def protected_source(target: AttackSource) -> AttackSource:
    """The target behind its purifier in its current state, for an attacker who knows both; itself if it has none."""
    purifier = target.model.data_preprocessor
    if not isinstance(purifier, Purifier):
        return target
    # Not purifier.clean, which rejects an untrained purifier.
    return AttackSource(
        target.model,
        training=True,
        defense=lambda images, randomness: purifier.purify(images),
        channel_order=target.channel_order,
    )


def _checked(sources: Optional[Sequence[SourceConfig]]) -> list[list[_Model]]:
    """Each source as the list of its models."""
    if sources is None:
        return [[TARGET]]
    if isinstance(sources, (str, dict)) or not sources:
        raise UsageError(
            f"sources must be a list, such as ['target', dict(config=..., checkpoint=...)], got {sources!r}"
        )
    checked = [_members(source) for source in sources]
    for source in checked:
        if not source or not all(isinstance(model, dict) or model in (TARGET, PROTECTED) for model in source):
            raise UsageError(
                "a source must be 'target', 'protected', dict(config=..., checkpoint=...), or a list of those, "
                f'got {source!r}'
            )
    return [
        [
            model if isinstance(model, str) else ModelSpec.parse(model, 'a source of the training attack')
            for model in source
        ]
        for source in checked
    ]


def _members(source: SourceConfig) -> list[Union[str, dict]]:
    if isinstance(source, (str, dict)) or not isinstance(source, Sequence):
        return [source]
    return list(source)


def _build(
    source: list[_Model], target: AttackSource, models: dict[_Model, AttackSource], attack: Attack
) -> AttackSource:
    """Build the source of an attack; ``models`` caches loaded models, since several sources may share them."""
    members = []
    for model in source:
        if model not in models:
            models[model] = _load(model, target, attack)
        check_same_classes(models[model].model, target.model, attack)
        members.append(models[model])
    return members[0] if len(members) == 1 else EnsembleSource(members)


def _load(model: _Model, target: AttackSource, attack: Attack) -> AttackSource:
    if model == TARGET:
        return target
    if isinstance(model, str):
        purifier = target.model.data_preprocessor
        if not isinstance(purifier, Purifier):
            raise UsageError(
                f'{PROTECTED!r} means the target behind its purifier, but {type(purifier).__name__} is not a purifier'
            )
        return protected_source(target)
    order = target.channel_order
    return build_source(target.model, 'transfer', source=model, attack=attack, channel_order=order)
