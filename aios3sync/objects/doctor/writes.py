"""Probes of writes: conditions, multipart uploads, copies on the server, and speed."""

from __future__ import annotations

import time
from contextlib import suppress
from statistics import median
from typing import Final

from aios3sync.core.etag import is_opaque_encryption, multipart_etag, part_count, same_etag
from aios3sync.core.parts import MIB, MIN_PART_SIZE
from aios3sync.core.text import size_text
from aios3sync.errors import IntegrityError, ObjectNotFoundError, PreconditionFailedError, StoreError
from aios3sync.objects.doctor.report import Finding
from aios3sync.objects.doctor.scratch import Scratch, md5_digest
from aios3sync.store.protocol import CopySource, DeleteItem, ListedPart
from aios3sync.store.s3.errors import ETAG_MISMATCH

__all__ = (
    "probe_abort",
    "probe_conditional_delete",
    "probe_conditions",
    "probe_copy",
    "probe_latency",
    "probe_multipart",
    "probe_throughput",
)

_OTHER_ETAG: Final = "0" * 32
_HEADS: Final = 20
_LARGE: Final = 8 * MIB


async def probe_conditions(scratch: Scratch) -> Finding:
    """Write with ``If-None-Match: *`` and ``If-Match``, each with and without success of the condition."""
    etag = (await scratch.put("condition", b"1")).etag
    ignored: list[str] = []
    if await _is_stored(scratch, "condition", if_none_match=True):
        ignored.append("If-None-Match: *")
    head = await scratch.steady.head(scratch.key("condition"))
    if await _is_stored(scratch, "condition", if_match=_OTHER_ETAG):
        ignored.append("If-Match")
    elif not await _is_stored(scratch, "condition", if_match=head.etag or etag):
        ignored.append("If-Match (refused although it holds)")
    if not await _is_stored(scratch, "condition-new", if_none_match=True):
        ignored.append("If-None-Match: * (refused although there is no object)")
    if not ignored:
        return Finding("conditions", "ok", "conditional writes are honoured (If-None-Match: *, If-Match)")
    return Finding(
        "conditions",
        "differs",
        f"not honoured: {', '.join(ignored)}",
        "two runs that share a manifest in the bucket, or a catalog, can overwrite each other's entries",
        "let only one run at a time write with --manifest s3://… or to a catalog",
    )


async def _is_stored(scratch: Scratch, name: str, *, if_match: str = "", if_none_match: bool = False) -> bool:
    try:
        await scratch.put(name, b"2", if_match=if_match, if_none_match=if_none_match)
    except PreconditionFailedError:
        return False
    return True


async def probe_conditional_delete(scratch: Scratch) -> Finding:
    """Delete an object on the condition of an ETag that it does not have."""
    key = scratch.key("condition-delete")
    await scratch.put("condition-delete", b"1")
    try:
        await scratch.once.delete_one(DeleteItem(key, _OTHER_ETAG))
    except PreconditionFailedError:
        return Finding("conditional delete", "ok", "a delete with the ETag of another object is refused")
    return Finding(
        "conditional delete",
        "differs",
        "a delete ignores its If-Match",
        "an object that others replace in the moment before a delete is deleted",
        "let nothing else write below a prefix that is synced with --delete",
    )


async def probe_multipart(scratch: Scratch) -> Finding:
    """Upload an object in two parts, and check its size, its parts and its ETag."""
    bodies = (bytes(MIN_PART_SIZE), b"the last part")
    key, upload_id = scratch.key("multipart"), await scratch.create_multipart("multipart")
    sent: list[ListedPart] = []
    for number, body in enumerate(bodies, 1):
        etag = await _part(scratch, key, upload_id, number, body)
        sent.append(ListedPart(number, etag, len(body)))
    listed = await scratch.steady.list_parts(key, upload_id)
    await scratch.once.complete_multipart(key, upload_id, sent, scratch.options())
    head = await scratch.steady.head(key)
    if head.size != sum(map(len, bodies)):
        found = f"an object of {sum(map(len, bodies))} bytes in two parts has {head.size}"
        return Finding("multipart", "failed", found, "large files cannot be stored", "do not use it")
    if [(part.number, part.size) for part in listed] != [(part.number, part.size) for part in sent]:
        meaning = "a large upload that breaks off begins again"
        return Finding("multipart", "differs", "ListParts does not show the parts that were sent", meaning)
    if is_opaque_encryption(head.encryption):
        return Finding("multipart", "ok", "uploads in parts work; encrypted, so the ETag says nothing")
    if same_etag(head.etag, multipart_etag([md5_digest(body) for body in bodies])):
        return Finding("multipart", "ok", "uploads in parts work, and the ETag is the MD5 of the parts' MD5s")
    if part_count(head.etag) and scratch.profile.etags != "opaque":
        # Of the form of a digest of parts, and none: no ETag of the endpoint proves anything.
        scratch.profile.record("etags", "opaque")
    meaning = "large files are compared by what was recorded, or by reading them"
    return Finding("multipart", "differs", "the ETag of an upload in parts is not made of MD5s", meaning)


async def _part(scratch: Scratch, key: str, upload_id: str, number: int, body: bytes) -> str:
    """Send a part and return its ETag, also where that contradicts the body."""
    try:
        sent = await scratch.once.put_part(
            key, upload_id, number, body, scratch.options(), md5=md5_digest(body)
        )
    except IntegrityError as error:
        if error.code != ETAG_MISMATCH:
            raise
        return error.etag
    return sent.etag


async def probe_abort(scratch: Scratch) -> Finding:
    """Begin an upload, look for it in the list of unfinished ones, and abort it."""
    key, upload_id = scratch.key("aborted"), await scratch.create_multipart("aborted")
    await _part(scratch, key, upload_id, 1, b"a part")
    try:
        uploads = await scratch.steady.list_multiparts(scratch.prefix)
        shown = any(upload.upload_id == upload_id for upload in uploads)
    except StoreError:
        shown = False
    await scratch.once.abort_multipart(key, upload_id)
    try:
        left = await scratch.steady.list_parts(key, upload_id)
    except ObjectNotFoundError:
        left = []
    if left:
        meaning = "parts of uploads that broke off stay and are paid for"
        return Finding("abort", "differs", "an upload is still there after its abort", meaning)
    if not shown:
        meaning = "uploads of other machines that broke off cannot be found by aios3sync stats"
        return Finding("abort", "differs", "unfinished uploads cannot be listed; an abort works", meaning)
    return Finding("abort", "ok", "unfinished uploads are listed, and an abort removes them")


async def probe_copy(scratch: Scratch) -> list[Finding]:
    """Copy an object on the server, then onto itself with other metadata."""
    source, target = scratch.key("copy-source"), scratch.key("copy-target")
    await scratch.put("copy-source", b"copied", content_type="text/x-a", metadata={"mtime": "1"})
    await scratch.once.copy(CopySource(source), target, scratch.options(), keep_metadata=True)
    copied = await scratch.steady.get(target)
    if copied.body != b"copied" or copied.head.metadata.get("mtime") != "1":
        meaning = "renames and copies between buckets lose what was stored with an object"
        return [Finding("copy", "differs", "a copy on the server is not the same object", meaning)]
    plain = Finding("copy", "ok", "copies on the server keep body, headers and metadata")
    options = scratch.options(content_type="text/x-b", metadata={"mtime": "2"})
    await scratch.once.copy(CopySource(source), source, options)
    after = await scratch.steady.get(source)
    if (after.body, after.head.metadata.get("mtime"), after.head.content_type) == (
        b"copied",
        "2",
        "text/x-b",
    ):
        found = "a copy onto itself replaces headers and metadata"
        return [plain, Finding("copy onto itself", "ok", found)]
    found = "a copy onto itself does not replace headers and metadata"
    meaning = "changed headers of files that are there are not updated"
    return [plain, Finding("copy onto itself", "differs", found, meaning, "upload such files again")]


async def probe_latency(scratch: Scratch) -> Finding:
    """Measure several HEADs of one key in a row; the key need not exist."""
    key, took = f"{scratch.prefix}latency", []
    for _ in range(_HEADS):
        began = time.perf_counter()
        with suppress(ObjectNotFoundError):
            await scratch.once.head(key)
        took.append(time.perf_counter() - began)
    found = f"a request takes {median(took) * 1000:.1f} ms (median of {_HEADS} HEADs)"
    return Finding("latency", "ok", found, figures={"median_s": median(took)})


async def probe_throughput(scratch: Scratch) -> Finding:
    """Measure one PUT and one GET of 8 MiB."""
    body = bytes(range(256)) * (_LARGE // 256)
    key = scratch.key("speed")
    began = time.perf_counter()
    await scratch.put("speed", body)
    sent = time.perf_counter()
    read = (await scratch.once.get(key)).body
    ended = time.perf_counter()
    if read != body:
        return Finding("speed", "failed", "8 MiB come back as other bytes", advice="do not use it")
    up, down = (_LARGE / max(took, 1e-9) for took in (sent - began, ended - sent))
    found = f"8 MiB in one request: {size_text(int(up))}/s up, {size_text(int(down))}/s down"
    figures = {"put_bytes_per_s": up, "get_bytes_per_s": down}
    return Finding("speed", "ok", found, figures=figures)
