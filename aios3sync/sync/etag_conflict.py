"""Settles conflicts between the ETag of an object and the known digest of its bytes.

Either the object is damaged, or the ETags of the endpoint look like MD5s but are not. The object itself is
examined to find out which; the result holds for all objects of the endpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from anyio import to_thread

from aios3sync._dataclass import replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.core.etag import Proof, is_opaque_encryption, proof, same_etag
from aios3sync.core.metadata import META_MD5, META_MTIME, rclone_md5, recorded_md5
from aios3sync.core.parts import GIB, MAX_COPY_SIZE, Part
from aios3sync.errors import IntegrityError, StoreError
from aios3sync.local.compress import md5_of
from aios3sync.local.digest import FileDigest
from aios3sync.store.protocol import CopySource, HeadResult, ListedPart, ObjectStore, PutOptions, PutResult
from aios3sync.sync.run import Run

__all__ = ("SentPart", "check_part_etags", "settle_metadata_conflict", "verify_joined", "write_md5")

_RANGE: Final = 8 * 1024 * 1024
_LARGEST_READ: Final = GIB
"""Largest object, in bytes, that is read to settle a conflict. At most one is read in a run; without it all
objects would be sent again."""


class SentPart(NamedTuple):
    """A part that was stored: its range, its digest, and the response."""

    part: Part
    md5: bytes
    result: PutResult

    @property
    def listed(self) -> ListedPart:
        """The part as CompleteMultipartUpload names it."""
        return ListedPart(self.part.number, self.result.etag, self.part.length, self.result.checksum)


async def settle_metadata_conflict(run: Run, key: str, head: HeadResult, digest: FileDigest) -> None:
    """Read an object whose metadata has the file's MD5 and whose ETag looks like another MD5.

    This is done once in a run. If the object cannot be read, its ETag counts, and the file is uploaded.
    """
    if run.profile.certain_md5 or not _contradicts(head, digest):
        return
    async with run.settling:
        if run.etags_settled or run.profile.etags == "opaque":
            return
        run.etags_settled = True
        try:
            md5 = await _read_md5(await run.resources.open_store(), run.full_key(key), head)
        except StoreError:
            return
        if md5 == digest.md5:
            run.profile.record("etags", "opaque")
        elif same_etag(md5, head.etag):
            run.profile.record("etags", "md5")


def _contradicts(head: HeadResult, digest: FileDigest) -> bool:
    plain = not head.content_encoding and not is_opaque_encryption(head.encryption)
    if not plain or head.size != digest.entry.size or head.size > _LARGEST_READ:
        return False
    differs = proof(head.etag) is Proof.MD5 and not same_etag(head.etag, digest.md5)
    return differs and recorded_md5(head.metadata) == digest.md5


async def _read_md5(store: ObjectStore, key: str, head: HeadResult) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, head.size, _RANGE):
        found = await store.get(key, start=start, length=min(_RANGE, head.size - start))
        await to_thread.run_sync(digest.update, found.body)
    return digest.hexdigest()


def check_part_etags(run: Run, key: str, sent: Sequence[SentPart]) -> None:
    """Refuse to join parts of which some have the right ETag and others do not.

    Raises:
        IntegrityError: a part is not what was sent.
    """
    suspects = [part for part in sent if _is_suspect(run, part)]
    if 0 < len(suspects) < len(sent):
        raise _damaged(run, key, f"part {suspects[0].part.number} has other bytes than were sent")


def _is_suspect(run: Run, sent: SentPart) -> bool:
    opaque = run.profile.etags == "opaque" or is_opaque_encryption(sent.result.encryption)
    return proof(sent.result.etag, opaque=opaque) is Proof.MD5 and not same_etag(
        sent.result.etag, sent.md5.hex()
    )


async def verify_joined(  # noqa: PLR0913 - both sides of one upload
    run: Run,
    store: ObjectStore,
    key: str,
    sent: Sequence[SentPart],
    stored_md5: str,
    options: PutOptions,
    result: PutResult,
) -> None:
    """Verify an object that was joined from parts and has an ETag that looks like an MD5 of other bytes.

    Parts with the right ETags were stored as they were sent, so that size and metadata of the whole object
    prove the rest. Where no part has the right ETag, the first part is read back.

    Args:
        run: the run.
        store: the bucket.
        key: the full key.
        sent: all parts.
        stored_md5: hex digest of the whole body.
        options: those of CreateMultipartUpload.
        result: the response to CompleteMultipartUpload.

    Raises:
        IntegrityError: the object is not what was sent.
    """
    if run.profile.certain_md5 or run.profile.etags == "opaque":
        return
    if any(_is_suspect(run, part) for part in sent):
        await _read_part_back(run, store, key, sent[0])
    elif _looks_wrong(result, stored_md5):
        try:
            head = await store.head(key)
        except StoreError:
            return  # the parts are right; what the ETag proves is found out with another object
        mtime = options.metadata.get(META_MTIME, "")
        if head.size != sum(part.part.length for part in sent) or head.metadata.get(META_MTIME) != mtime:
            raise _damaged(run, key, f"the object has {head.size} bytes, or other metadata than were sent")
    else:
        return
    run.profile.record("etags", "opaque")


def _looks_wrong(result: PutResult, stored_md5: str) -> bool:
    """Whether the ETag of a whole object looks like an MD5, but is not that of its body."""
    kind = proof(result.etag, opaque=is_opaque_encryption(result.encryption))
    return kind is Proof.MD5 and not same_etag(result.etag, stored_md5)


async def write_md5(
    store: ObjectStore, key: str, size: int, md5: str, options: PutOptions, result: PutResult
) -> PutResult:
    """Write the MD5 of an object whose ETag turned out to prove nothing to its metadata, by a copy of itself.

    Where that is not possible, a run without a manifest sends the file again (P13).

    Args:
        store: the bucket.
        key: the full key.
        size: bytes of the object.
        md5: hex digest of its body.
        options: those of CreateMultipartUpload.
        result: the response to CompleteMultipartUpload.

    Returns:
        The response that describes the object.
    """
    if same_etag(result.etag, md5) or size > MAX_COPY_SIZE:
        return result
    options = replace(options, metadata={**options.metadata, META_MD5: rclone_md5(md5)})
    try:
        copied = await store.copy(CopySource(key, etag=result.etag), key, options)
        return copied if copied.etag else copied._replace(etag=(await store.head(key)).etag)
    except StoreError:
        return result


async def _read_part_back(run: Run, store: ObjectStore, key: str, sent: SentPart) -> None:
    part = sent.part
    await run.resources.memory.acquire(part.length)
    try:
        found = await store.get(key, start=part.offset, length=part.length)
        md5 = await to_thread.run_sync(md5_of, found.body)
    except StoreError as error:
        text = f"its ETags are no MD5s of what was sent, and it cannot be read back ({error}); if they prove "
        raise _damaged(run, key, text + "nothing at this endpoint, give --etags opaque") from error
    finally:
        run.resources.memory.release(part.length)
    if md5 != sent.md5:
        raise _damaged(run, key, f"part {part.number} has other bytes than were sent")


def _damaged(run: Run, key: str, text: str) -> IntegrityError:
    return IntegrityError(
        f"CompleteMultipartUpload of {key!r} in {run.location.bucket}: {text}",
        operation="CompleteMultipartUpload",
        bucket=run.location.bucket,
        key=key,
        code="ETagMismatch",
    )
