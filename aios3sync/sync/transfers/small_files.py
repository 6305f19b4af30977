"""Verifies the bodies of small objects and writes their files, many in one call in a thread."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from aios3sync._dataclass import dataclass
from aios3sync._namedtuple import NamedTuple
from aios3sync.core.actions import Download
from aios3sync.core.entries import SourceEntry, TargetEntry
from aios3sync.core.mtimes import file_mtime
from aios3sync.local.write import NewFile, TreeWriter
from aios3sync.store.protocol import GetResult
from aios3sync.sync.stored_checksum import StoredChecksum
from aios3sync.sync.transfers.fetched import DifferentFileError
from aios3sync.sync.transfers.received import ReceivedContent, content_of

__all__ = ("ArrivedBody", "NewContent", "SameContent", "SmallDownload", "write_batch")


@dataclass(slots=True)
class SmallDownload:
    """One small object: the action, the version that is read, and the number of the attempt, from 0."""

    download: Download
    source: TargetEntry
    attempt: int = 0


class ArrivedBody(NamedTuple):
    """The body of one object that was received.

    Attributes:
        job: the object.
        result: its bytes, and the facts of the response.
        reserved: bytes of the budget, which are released when its file is written.
        checksum: that the endpoint stores, where nothing else proves the bytes.
    """

    job: SmallDownload
    result: GetResult
    reserved: int
    checksum: StoredChecksum | None = None


class SameContent(NamedTuple):
    """The file already has this content."""

    content: ReceivedContent


class NewContent(NamedTuple):
    """The file was written."""

    written: SourceEntry
    content: ReceivedContent


def write_batch(
    writer: TreeWriter, batch: Sequence[ArrivedBody], decode: bool, opaque: bool, sha256: bool
) -> list[NewContent | SameContent | Exception]:
    """Verify bodies and write their files. Blocks."""
    checked = [_checked(arrived, decode, opaque) for arrived in batch]
    if sha256:
        checked = list(map(_with_sha256, checked))
    files = [
        _file(arrived, content)
        for arrived, content in zip(batch, checked, strict=True)
        if isinstance(content, ReceivedContent)
    ]
    written = iter(writer.write_many(files))
    results: list[NewContent | SameContent | Exception] = []
    for content in checked:
        if isinstance(content, ReceivedContent):
            now = next(written)
            results.append(now if isinstance(now, Exception) else NewContent(now, content._replace(body=b"")))
        else:
            results.append(content)
    return results


def _with_sha256(
    content: ReceivedContent | SameContent | Exception,
) -> ReceivedContent | SameContent | Exception:
    if not isinstance(content, ReceivedContent):
        return content
    return content._replace(sha256=hashlib.sha256(content.body).hexdigest())


def _checked(arrived: ArrivedBody, decode: bool, opaque: bool) -> ReceivedContent | SameContent | Exception:
    """Return the content to write, SameContent if the file has it already, or the error."""
    body, head = arrived.result
    download = arrived.job.download
    try:
        content = content_of(
            body,
            head,
            arrived.job.source.size,
            decode=decode,
            opaque=opaque,
            checksum=arrived.checksum,
        )
    except Exception as error:  # noqa: BLE001 - it becomes the outcome of this object
        return error
    if download.md5 and download.md5 == content.md5:
        return SameContent(content._replace(body=b""))
    return DifferentFileError() if download.md5 and not download.overwrite else content


def _file(arrived: ArrivedBody, content: ReceivedContent) -> NewFile:
    job, head = arrived.job, arrived.result.head
    mtime_ns = file_mtime(head.metadata, head.last_modified)
    return NewFile(job.source.key, content.body, mtime_ns, job.download.replaces)
