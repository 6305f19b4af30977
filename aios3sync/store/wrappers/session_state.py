"""SessionState: whether a session is open, and how its credentials are replaced when they are refused."""

from __future__ import annotations

from typing import Protocol

from aios3sync.errors import UsageError

__all__ = ("Renewable", "SessionState")


class Renewable(Protocol):
    """Credentials that can be replaced.

    ``generation`` counts the replacements: a request remembers with which one it was signed.
    """

    generation: int

    async def renew(self, generation: int) -> bool:
        """Look for others than those of ``generation``, once for all who ask; whether there are any now."""
        ...


class SessionState:
    """What all stores of one session share of its state.

    Attributes:
        credentials: what requests are signed with, where that can be replaced.
    """

    def __init__(self) -> None:
        self.credentials: Renewable | None = None
        self._closed = False

    def close(self) -> None:
        """From now on every request is refused; what is open is closed by its owner."""
        self._closed = True

    def check(self) -> None:
        """Refuse where the session has ended: a client that is opened now would never be closed.

        Raises:
            UsageError: it has.
        """
        if self._closed:
            raise UsageError(
                "the session is closed: its 'async with connect(...)' block has ended; "
                "work inside that block, or open another session"
            )

    @property
    def generation(self) -> int:
        """How often the credentials were replaced."""
        return 0 if self.credentials is None else self.credentials.generation

    async def renew(self, generation: int) -> bool:
        """Whether a request that was refused with the credentials of ``generation`` has others now."""
        return self.credentials is not None and await self.credentials.renew(generation)
