"""Renewal: credentials that are looked for again when they are refused, once for all requests.

Keys in a file that a tool rewrites, and a program that names no end of its keys, say nothing: only the
endpoint reports that they have expired, and only where they came from has those that replace them.
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
"""Seconds in which a source that had nothing new is not asked again: many requests are refused at once."""


class Renewal:
    """Counts the replacements of some credentials; what replaces them is :meth:`_replace` of a subclass.

    Args:
        clock: seconds, never going back.

    Attributes:
        generation: how often others were found. A request that was refused names the generation that it was
            signed with, so that many such requests look for others once.
        listeners: called after every renewal.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.generation = 0
        self.listeners: list[Callable[[], None]] = []
        self._clock = clock
        self._asking = anyio.Lock()
        self._asked = float("-inf")

    async def renew(self, generation: int) -> bool:
        """Look for others than those of ``generation``; whether there are any now."""
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
        """Look for other credentials and take them; whether there are any."""
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
        """How often others were found, in all places together."""
        return sum(place.generation for place in self._places)

    async def renew(self, generation: int) -> bool:
        """Look for others in every place; whether there are any in one of them."""
        if generation != self.generation:
            return True
        return any([await place.renew(place.generation) for place in self._places])
