"""How much a grid tests its own attacks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Mapping, Optional, Union

from ...errors import UsageError
from ...validation import check_integer, did_you_mean


@dataclass(frozen=True)
class SelfTestSettings:
    """How attacks are tested.

    Attributes:
        num_images: at most so many test images, spread evenly.
        drop: the share of an image's score that an attack on a detector must take without a purifier.
    """

    num_images: int = 50
    drop: float = 0.5

    @classmethod
    def parse(cls, given: Union[bool, Mapping[str, Any], None]) -> Optional[SelfTestSettings]:
        """Read the entry ``self_test`` of a grid: False, True, or a dict of settings.

        Raises:
            UsageError: for anything else.
        """
        if given is None or given is False:
            return None
        settings = {} if given is True else given
        names = [item.name for item in fields(cls)]
        if not isinstance(settings, Mapping):
            raise UsageError(f'self_test must be True, False or a dict of {", ".join(names)}, got {given!r}')
        for name in settings:
            if name not in names:
                raise UsageError(f'self_test has no setting {name!r}; {did_you_mean(name, names)}')
        parsed = cls(**settings)
        check_integer('self_test', num_images=parsed.num_images)
        if not 0 < parsed.drop <= 1:
            raise UsageError(f'self_test: drop is a share of the score, above 0 and at most 1, got {parsed.drop}')
        return parsed
