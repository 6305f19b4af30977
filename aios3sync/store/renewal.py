"""Renewal: looks for new credentials when the present ones are refused, once for all requests.

Credentials in a file that a tool rewrites, or of a program that names no expiry, may expire unnoticed: only
the endpoint reports that, and only their source has the new ones.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from aios3sync.store.wrappers.session_state import Renewable

__all__ = ("AllRenewed", "Renewal")

_LOG: Final = logging.getLogger(__name__)
_ASK_AGAIN_AFTER: Final = 5.0
"""Seconds in which a source without new credentials is not read again: many requests are refused at once."""


class Renewal:
    """Counts the replacements of credentials; :meth:`_replace` of a subclass replaces them.

    Args:
        clock: seconds, never going back.

    Attributes:
        generation: how often new credentials were found. A refused request names the generation of its
            signature, so that many such requests look for new ones only once.
        listeners: called after every renewal.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.generation = 0
        self.listeners: list[Callable[[], None]] = []
        self._clock = clock
        self._asking = anyio.Lock()
        self._asked = float("-inf")

    async def renew(self, generation: int) -> bool:
        """Look for newer credentials than those of ``generation``; return whether there are any."""
        async with self._asking:
            if generation != self.generation:
                return True
            if self._clock() < self._asked + _ASK_AGAIN_AFTER:
                return False
            found = await self._replace()
            self._asked = self._clock()
            if not found:
                return False
            self.generation += 1
        _LOG.info("the credentials were refused; others were found, and the work goes on with them")
        for listener in self.listeners:
            listener()
        return True

    async def _replace(self) -> bool:
        """Look for other credentials and use them; return whether there are any."""
        raise NotImplementedError


class AllRenewed:
    """The same credentials in several places, renewed together.

    Args:
        places: at least one.
    """

    def __init__(self, places: Sequence[Renewable]) -> None:
        self._places = places

    @property
    def generation(self) -> int:
        """How often new credentials were found, in all places together."""
        return sum(place.generation for place in self._places)

    async def renew(self, generation: int) -> bool:
        """Look for new credentials in every place; return whether one of them has any."""
        if generation != self.generation:
            return True
        return any([await place.renew(place.generation) for place in self._places])
