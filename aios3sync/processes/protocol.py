"""What a stage may ask of couriers, which send small files beside the event loop. Types only, no I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from aios3sync.local.read import Place
from aios3sync.store.protocol import PutOptions, PutResult

__all__ = ("LARGEST", "Delivered", "Offloader", "OffloaderOpener", "UploadJob", "UploadResult")

LARGEST = 64 * 1024
"""Bytes of a file, above which the session itself is as fast: digests of more need no interpreter."""


class UploadJob(NamedTuple):
    """A file to send.

    Attributes:
        place: where it is.
        key: the full key that it gets.
        kind: of its headers, see :meth:`Offloader.kind`.
        size, mtime_ns, ctime_ns, inode: the stat that it must have; one that has another is not sent.
    """

    place: Place
    key: str
    kind: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class UploadResult(NamedTuple):
    """What came of a job that was stored.

    Attributes:
        md5: digest of what was sent, 16 bytes.
        started_ns: when its reading began, nanoseconds since the epoch.
        result: what the endpoint answered.
    """

    md5: bytes
    started_ns: int
    result: PutResult


Delivered = Callable[[int, UploadResult], None]
"""Called in the event loop with the place of a job in its list, as soon as it is known to be stored."""


class Offloader(Protocol):
    """Sends small files. It knows the way on which all is well; everything else it gives back."""

    def kind(
        self, options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False
    ) -> int | None:
        """A number for these headers, whose metadata ``mtime_name`` is each file's own mtime.

        The metadata ``md5_name``, where one is given, is each file's MD5 as rclone writes it.
        With ``utf8`` they say that the body is UTF-8: a file that is none is given back.

        ``None`` where they need more than that, such as a checksum of the body.
        """
        ...

    async def deliver(self, jobs: Sequence[UploadJob], delivered: Delivered) -> list[int]:
        """Send, and answer with the places of those that have to go the usual way.

        Some of these may be stored all the same, if the answer was lost. Raises CredentialsError.
        """
        ...

    def cancel_pending(self) -> None:
        """Have everything given back that was not begun."""
        ...

    async def aclose(self) -> None:
        """End what still runs."""
        ...


OffloaderOpener = Callable[[], Awaitable[Offloader | None]]
"""Opens the couriers of one run; ``None`` where there can be none."""
