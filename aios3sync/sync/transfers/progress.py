"""Reports how much of one large body has been sent: to the event sink, and to the send window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aios3sync import events
from aios3sync.store.body_progress import watched
from aios3sync.sync.run import Run

__all__ = ("BodyProgress",)


class BodyProgress:
    """The progress of one body, over all its attempts: a :class:`~aios3sync.store.body_progress.BodyWatch`.

    Args:
        run: the run that sends the body.
        key: of the file, relative to the prefix.
        size: sum of the events of the body once it has arrived, in bytes: the size of the file, also where
            the body is compressed.
        length: bytes of the body itself.
    """

    def __init__(self, run: Run, key: str, size: int, length: int) -> None:
        self._run = run
        self._length = length
        self._has_left = False
        self._key = key
        self._size = size
        self._sent = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the body that this task sends; if it does not arrive, all reported bytes are taken back."""
        try:
            with watched(self):
                yield
        except BaseException:
            self.begin()
            raise
        self._take_back()
        self._run.resources.window.moved(max(self._size - self._sent, 0))
        self._run.resources.window.arrived(self._size)
        self._report(self._size - self._sent)

    def begin(self) -> None:
        """Take back the bytes of the previous attempt: they are sent again."""
        self._take_back()
        self._report(-self._sent)
        self._sent = 0

    def sent(self, size: int) -> None:
        """Report ``size`` more bytes."""
        self._sent += size
        window = self._run.resources.window
        if self._sent >= self._length and not self._has_left:
            self._has_left = True
            window.left(self._size)
        window.moved(size)
        self._report(size)

    def _take_back(self) -> None:
        """Tell the send window that the body no longer waits for a response."""
        if self._has_left:
            self._has_left = False
            self._run.resources.window.left(-self._size)

    def _report(self, size: int) -> None:
        if size:
            self._run.events(events.BytesSent(self._key, size))
