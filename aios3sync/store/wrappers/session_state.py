"""SessionState: whether a session is open, and its credentials, which are replaced when they are refused."""

from __future__ import annotations

from typing import Protocol

from aios3sync.errors import UsageError

__all__ = ("Renewable", "SessionState")


class Renewable(Protocol):
    """Credentials that can be replaced.

    ``generation`` counts the replacements: a request remembers with which one it was signed.
    """

    @property
    def generation(self) -> int:
        """How often they were replaced."""
        ...

    async def renew(self, generation: int) -> bool:
        """Replace the credentials of ``generation``, once for all callers; return whether that succeeded."""
        ...


class SessionState:
    """The state of a session that all its stores share.

    Attributes:
        credentials: with which requests are signed, if they can be replaced.
    """

    def __init__(self) -> None:
        self.credentials: Renewable | None = None
        self._closed = False

    def close(self) -> None:
        """Refuse every request from now on; connections are closed by their owner."""
        self._closed = True

    def check(self) -> None:
        """Refuse a request after the end of the session: a client that is opened then would never be closed.

        Raises:
            UsageError: the session has ended.
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
        """Return whether there are newer credentials than those of ``generation``, which were refused."""
        return self.credentials is not None and await self.credentials.renew(generation)
