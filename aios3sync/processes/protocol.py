"""The protocol between the engine and the processes that send and fetch small files. Types only, no I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.entries import SourceEntry
from aios3sync.local.read import Place
from aios3sync.store.protocol import PutOptions, PutResult

__all__ = (
    "MAX_JOB_BYTES",
    "DownloadJob",
    "DownloadResult",
    "DownloadTree",
    "Downloader",
    "DownloaderOpener",
    "Offloader",
    "OffloaderOpener",
    "OnStored",
    "OnWritten",
    "UploadJob",
    "UploadResult",
)

MAX_JOB_BYTES = 64 * 1024
"""Bytes of the largest file that is worth a job. Larger ones are hashed without the interpreter lock:
the session itself is as fast."""


class UploadJob(NamedTuple):
    """One file to send.

    Attributes:
        place: of the file.
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
        sha256: digest of the bytes as well, in hexadecimal digits; empty where it was not needed.
    """

    md5: bytes
    started_ns: int
    result: PutResult
    sha256: str = ""


OnStored = Callable[[int, UploadResult], None]
"""Called in the event loop with the position of a job in its list, as soon as its object is stored."""


class Offloader(Protocol):
    """Sends small files. It handles only the successful case, and returns every other job."""

    def header_template(
        self, options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False
    ) -> int | None:
        """Register headers that many files share, and return the number of the template.

        Args:
            options: the headers; the values that differ from file to file are placeholders.
            mtime_name: the metadata that holds each file's own mtime.
            md5_name: the metadata that holds each file's MD5 as rclone writes it; empty for none.
            utf8: whether the headers say that the body is UTF-8; then a file that is not UTF-8 is returned.

        Returns:
            The number, or ``None`` where the headers need more, such as a checksum of the body.
        """
        ...

    async def upload(self, jobs: Sequence[UploadJob], on_stored: OnStored) -> list[int]:
        """Send jobs, and return the positions of those that this process has to send.

        Some of these may be stored nevertheless, if the response was lost. Raises CredentialsError.
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


class DownloadTree(NamedTuple):
    """Where a download process writes.

    Attributes:
        root: absolute path of the directory, which exists.
        device, inode: of the directory: a replacement of it is not written to.
        fsync: whether files are on the disk before they get their names.
    """

    root: str
    device: int
    inode: int
    fsync: bool


class DownloadJob(NamedTuple):
    """One object to fetch into a file.

    Attributes:
        full_key: of the object.
        key: path of the file below the root.
        size: bytes that the object must have.
        etag: that it must have; it has to be the MD5 of the bytes.
        replaces: size, mtime, ctime and inode of the file in its place, ``None`` for none.
    """

    full_key: str
    key: str
    size: int
    etag: str
    replaces: tuple[int, int, int, int] | None


class DownloadResult(NamedTuple):
    """The result of a job whose file was written; its MD5 is the ETag of the job.

    Attributes:
        written: the file.
        started_ns: when writing began, nanoseconds since the epoch.
        encryption: of the object, from the response.
    """

    written: SourceEntry
    started_ns: int
    encryption: str


OnWritten = Callable[[int, DownloadResult], None]
"""Called in the event loop with the position of a job in its list, as soon as its file has its name."""


class Downloader(Protocol):
    """Fetches small objects into files. It handles only the successful case."""

    async def download(self, jobs: Sequence[DownloadJob], on_written: OnWritten) -> list[int]:
        """Do jobs, and return the positions of those that this process has to do.

        The files of some of these may be written nevertheless, if the process was lost. Raises
        CredentialsError, and for a full disk its OSError, with the key of the job.
        """
        ...

    def cancel_pending(self) -> None:
        """Have all jobs returned that have not begun."""
        ...

    async def aclose(self) -> None:
        """End the processes."""
        ...


DownloaderOpener = Callable[[DownloadTree], Awaitable[Downloader | None]]
"""Opens the downloader of one run; ``None`` where processes cannot be used."""
