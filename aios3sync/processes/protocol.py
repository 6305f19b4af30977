"""The seam between the engine and upload processes, which send small files. Types only, no I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from aios3sync.local.read import Place
from aios3sync.store.protocol import PutOptions, PutResult

__all__ = ("MAX_JOB_BYTES", "Offloader", "OffloaderOpener", "OnStored", "UploadJob", "UploadResult")

MAX_JOB_BYTES = 64 * 1024
"""Bytes of the largest file that is worth a job. Larger ones are digested without the interpreter lock: the
session itself is as fast."""


class UploadJob(NamedTuple):
    """One file to send.

    Attributes:
        place: where the file is.
        key: the full key of the object.
        template: number of its header template, see :meth:`Offloader.header_template`.
        size, mtime_ns, ctime_ns, inode: the stat that the file must have; else it is not sent.
    """

    place: Place
    key: str
    template: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class UploadResult(NamedTuple):
    """The result of a job whose object was stored.

    Attributes:
        md5: digest of the bytes that were sent, 16 bytes.
        started_ns: when reading began, nanoseconds since the epoch.
        result: the response of the endpoint.
    """

    md5: bytes
    started_ns: int
    result: PutResult


OnStored = Callable[[int, UploadResult], None]
"""Called in the event loop with the position of a job in its list, as soon as its object is stored."""


class Offloader(Protocol):
    """Sends small files. It handles only the case in which all is well, and returns every other job."""

    def header_template(
        self, options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False
    ) -> int | None:
        """Register headers that many files share, and return the number of the template.

        Args:
            options: the headers; the values that differ from file to file are placeholders.
            mtime_name: the metadata that holds each file's own mtime.
            md5_name: the metadata that holds each file's MD5 as rclone writes it; empty for none.
            utf8: the headers say that the body is UTF-8; a file that is not UTF-8 is returned.

        Returns:
            The number, or ``None`` where the headers need more, such as a checksum of the body.
        """
        ...

    async def upload(self, jobs: Sequence[UploadJob], on_stored: OnStored) -> list[int]:
        """Send jobs, and return the positions of those that have to be sent in this process.

        Some of these may be stored all the same, if the response was lost. Raises CredentialsError.
        """
        ...

    def cancel_pending(self) -> None:
        """Have all jobs returned that have not begun."""
        ...

    async def aclose(self) -> None:
        """End the processes."""
        ...


OffloaderOpener = Callable[[], Awaitable[Offloader | None]]
"""Opens the offloader of one run; ``None`` where upload processes cannot be used."""
