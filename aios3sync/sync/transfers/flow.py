"""Tells how one large body leaves: the listeners of the run by events, and the send window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aios3sync import events
from aios3sync.store.body_progress import watched
from aios3sync.sync.run import Run

__all__ = ("Transfer",)


class Transfer:
    """One body on its way, perhaps with several attempts: :class:`~aios3sync.store.body_progress.BodyWatch`.

    Args:
        run: whose body it is.
        key: of the file, relative to the prefix.
        size: bytes that the events of the body add up to once it has arrived; those of the file, where it is
            compressed.
    """

    def __init__(self, run: Run, key: str, size: int) -> None:
        self._run = run
        self._key = key
        self._size = size
        self._sent = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what this task sends; what did not arrive is taken back, whatever was reported."""
        try:
            with watched(self):
                yield
        except BaseException:
            self.begin()
            raise
        self._run.window.moved(max(self._size - self._sent, 0))
        self._tell(self._size - self._sent)

    def begin(self) -> None:
        """An attempt begins, or failed: what had left leaves again."""
        self._tell(-self._sent)
        self._sent = 0

    def sent(self, size: int) -> None:
        """``size`` more bytes have left."""
        self._sent += size
        self._run.window.moved(size)
        self._tell(size)

    def _tell(self, size: int) -> None:
        if size:
            self._run.events(events.BytesSent(self._key, size))
