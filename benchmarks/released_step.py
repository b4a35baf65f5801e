"""The training step of the method's released code, rewritten from its formulas, to compare ours with.

It does what that code does, on the networks of one of our runners: the clean images go through the target again in each
step of the KL attack, the generator runs separately on clean and on adversarial images, the discriminator runs four
times, parameters of the frozen target collect gradients, and the class terms are loops over classes. The perceptual
term, whose weights would have to be downloaded, is left out on both sides.
"""

from __future__ import annotations

import copy
from typing import Sequence

import torch
import torch.nn.functional as F
from mmengine.runner import Runner
from torch import Tensor

from mmadvdefense.attacks import AttackSource, GradientAttack
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.losses import ClassAlignmentLoss
from mmadvdefense.pixels import Pixels, stack, to_pixels
from mmadvdefense.purifiers import freeze_target

PIXEL, TASK, MATCHING, FEATURE = 50.0, 2.0, 10.0, 4.0
MARGIN, ALIGN, INTER, INTRA = 5.0, 0.1, 0.005, 1.0


class ReleasedStep:
    """One step of the released code on a runner's model, generator and discriminator.

    Args:
        runner: ready for its first iteration; its optimizer is not used.
        hook: its training hook, which has the settings of the attack and the feature layer.
    """

    def __init__(self, runner: Runner, hook: PurifierTrainHook):
        self.model = runner.model
        self.purifier = runner.model.data_preprocessor
        self.source = AttackSource(self.model, training=True)
        self.task = self.source.task
        self.tap = self.task.feature_tap(hook.feature_layer)
        if not isinstance(hook.attack, GradientAttack) or hook.attack.eps is None:
            raise ValueError(f'the released step needs a gradient attack with a budget, not {hook.attack}')
        self.attack, self.eps = hook.attack, hook.attack.eps
        alignment = [loss for loss in hook.losses if isinstance(loss, ClassAlignmentLoss)]
        self.intra = alignment[0].weights['loss_intra'] if alignment else 0
        self.generator_optimizer, self.discriminator_optimizer = (
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.purifier.generator, self.purifier.discriminator)
        )

    def __call__(self, batch: dict) -> dict[str, Tensor]:
        """Take the step; returns its losses by name, unweighted except for the halves of the discriminator's loss."""
        freeze_target(self.model)
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)
        for module in self.task.loss_modules():
            module.training = True
        samples = batch['data_samples']
        clean, _ = stack(self.purifier.load_pixels(batch['inputs'], samples))
        prepared = self.source.prepare_samples(clean, samples)
        terms, generator_loss, discriminator_loss = self.losses(clean, self.adversarial(clean, prepared), samples)
        self.generator_optimizer.zero_grad()
        generator_loss.backward()
        self.generator_optimizer.step()
        self.discriminator_optimizer.zero_grad()
        discriminator_loss.backward()
        self.discriminator_optimizer.step()
        return terms

    # --- the attack -----------------------------------------------------------------------------------------

    def adversarial(self, clean: Tensor, samples: Sequence) -> Tensor:
        """PGD on the KL divergence for classifiers, BIM on the loss for other models; pixels ``(N, 3, H, W)``."""
        images = clean
        if self.attack.random_start == 'normal':
            images = clean + self.attack.start_std * torch.randn_like(clean)
        for _ in range(self.attack.steps):
            images = images.detach().requires_grad_()
            if self.task.dense:
                # As in that code, parameters collect gradients too.
                _total(self.source.losses(images, samples)).backward()
                gradient = images.grad
                assert gradient is not None
            else:
                scores, clean_scores = self.source.logits(images), self.source.logits(clean)
                divergence = F.kl_div(scores.log_softmax(1), clean_scores.softmax(1), reduction='sum')
                (gradient,) = torch.autograd.grad(divergence, images)
            images = images.detach() + self.attack.step_size * gradient.sign()
            images = torch.min(torch.max(images, clean - self.eps), clean + self.eps).clamp(0, 255)
        return images.detach()

    # --- the objective --------------------------------------------------------------------------------------

    def losses(self, clean: Tensor, adversarial: Tensor, samples: Sequence) -> tuple[dict, Tensor, Tensor]:
        """The terms, the generator's weighted sum and the discriminator's loss."""
        unit_clean, purified_clean = self.purifier.generate(clean)
        _, purified_adversarial = self.purifier.generate(adversarial)
        size = clean.shape[-2:]
        with self.tap:
            self.task.reference(self.source.preprocess(clean))
            features = self.tap.take()
        task_clean, features_clean, prepared = self._target(purified_clean, size, samples)
        task_adversarial, features_adversarial, _ = self._target(purified_adversarial, size, samples)
        fake, real = self._discriminate(purified_adversarial, prepared), self._discriminate(purified_clean, prepared)
        vectors, labels = self.task.class_features(features_adversarial, prepared)
        guides, _ = self.task.class_features(features, prepared)
        terms = {
            'task': task_clean + task_adversarial,
            'pixel': F.l1_loss(purified_clean, unit_clean) + F.l1_loss(purified_adversarial, purified_clean),
            'gan_generator': _towards(fake, 1.0),
            'matching': _matching(fake, real),
            'feature': F.l1_loss(features_clean, features) + F.l1_loss(features_adversarial, features),
            **class_terms(guides, vectors, labels),
        }
        generator = PIXEL * terms['pixel'] + MATCHING * terms['matching'] + terms['gan_generator']
        generator = generator + TASK * terms['task'] + FEATURE * terms['feature']
        generator = generator + ALIGN * terms['align'] + INTER * terms['inter'] + self.intra * terms['intra']
        fake = self._discriminate(purified_adversarial.detach(), prepared)
        real = self._discriminate(purified_clean.detach(), prepared)
        terms['gan_discriminator'] = (_towards(real, 1.0) + _towards(fake, 0.0)) / 2
        return terms, generator, terms['gan_discriminator']

    def _target(self, purified: Tensor, size: Sequence[int], samples: Sequence) -> tuple[Tensor, Tensor, Sequence]:
        """The host's loss and features for one half, and the samples as the host prepared them."""
        pixels: Pixels = to_pixels(F.interpolate(purified, size=tuple(size), mode='bilinear', align_corners=True))
        data = self.purifier.native({'inputs': pixels, 'data_samples': copy.deepcopy(list(samples))}, True)
        with self.tap:
            losses = self.model(data['inputs'], data['data_samples'], mode='loss')
            return _total(losses), self.tap.take(), data['data_samples']

    def _discriminate(self, images: Tensor, samples: Sequence) -> list[list[Tensor]]:
        if getattr(self.purifier, 'condition_on_labels', False):
            label_map = self.task.label_map(samples, images.shape[-2:], images.device)
            images = torch.cat([images, label_map.to(images)], 1)
        return self.purifier.discriminator(images)


def _total(losses: dict) -> Tensor:
    """The sum of the entries that a host sums up to its loss."""
    chosen = [value for name, value in losses.items() if 'loss' in name]
    parts = [part.mean() for value in chosen for part in (value if isinstance(value, (list, tuple)) else [value])]
    return torch.stack(parts).sum()


def _towards(outputs: list[list[Tensor]], goal: float) -> Tensor:
    return torch.stack([F.mse_loss(layers[-1], torch.full_like(layers[-1], goal)) for layers in outputs]).sum()


def _matching(fake: list[list[Tensor]], real: list[list[Tensor]]) -> Tensor:
    total = fake[0][0].new_zeros(())
    for fake_layers, real_layers in zip(fake, real):
        for i in range(len(fake_layers) - 1):
            weight = 4.0 / (len(fake_layers) - 1) / len(fake)
            total = total + weight * F.l1_loss(fake_layers[i], real_layers[i].detach())
    return total


def class_terms(guides: Tensor, vectors: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Alignment, inter-class (hinged, ordered pairs) and intra-class distances as sums over the classes present.

    Args:
        guides, vectors: features of clean and of purified adversarial images, ``(M, L)``.
        labels: their classes, ``(M,)``; negative for those without a class.
    """
    zero = vectors.sum() * 0
    terms = {'align': zero, 'inter': zero, 'intra': zero}
    classes = [k for k in labels.unique().tolist() if k >= 0]
    centers = {k: vectors[labels == k].mean(0) for k in classes}
    for k in classes:
        terms['align'] = terms['align'] + (centers[k] - guides[labels == k].mean(0)).abs().mean()
        terms['intra'] = terms['intra'] + (vectors[labels == k] - centers[k]).abs().mean()
        for i in classes:
            if i != k:
                terms['inter'] = terms['inter'] + (MARGIN - (centers[k] - centers[i]).abs().mean()).clamp(min=0)
    return terms
