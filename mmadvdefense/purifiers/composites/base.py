"""The base of purifiers that are made of purifiers."""

from __future__ import annotations

from torch import nn

from ..base import Purifier, RandomPurifier


class CompositePurifier(RandomPurifier):
    """Differentiable if all members are, random if any of them is, and ready when all are.

    Attributes:
        purifiers: the members, possibly among other modules.
    """

    purifiers: nn.ModuleList

    @property
    def members(self) -> list[Purifier]:
        """The purifiers that it is made of."""
        return [purifier for purifier in self.purifiers if isinstance(purifier, Purifier)]

    @property
    def differentiable(self) -> bool:
        return super().differentiable and all(purifier.differentiable for purifier in self.members)

    @property
    def stochastic(self) -> bool:
        return any(purifier.stochastic for purifier in self.members)

    @property
    def is_random(self) -> bool:
        return not self.fixed and any(purifier.is_random for purifier in self.members)

    @property
    def keeps_geometry(self) -> bool:
        return all(purifier.keeps_geometry for purifier in self.members)

    def check_ready(self) -> None:
        for purifier in self.members:
            purifier.check_ready()

    def _share_device(self) -> CompositePurifier:
        super()._share_device()
        for purifier in self.members:
            purifier._device = self._device
            purifier._share_device()
        return self
