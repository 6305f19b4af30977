"""Probes of single objects: rights, basic requests, clock, ETags, integrity, headers, checksums, versions."""

from __future__ import annotations

import time
from typing import Any, Final

from aios3sync.core.etag import is_opaque_encryption, same_etag
from aios3sync.errors import IntegrityError, ObjectNotFoundError, StoreError
from aios3sync.objects.doctor.report import Finding
from aios3sync.objects.doctor.scratch import Scratch, md5_digest
from aios3sync.store.protocol import DeleteItem
from aios3sync.store.s3.errors import ETAG_MISMATCH

__all__ = (
    "probe_bucket",
    "probe_checksum",
    "probe_clock",
    "probe_etag",
    "probe_headers",
    "probe_integrity",
    "probe_verbs",
    "probe_versioning",
)

_BODY: Final = b"aios3sync doctor\n"
_CLOCK_S: Final = 60.0
"""Seconds of difference that are harmless; S3 refuses requests that are 15 minutes off."""
_HEADERS: Final = {
    "content_type": "text/x-aios3sync",
    "cache_control": "max-age=60",
    "content_disposition": 'attachment; filename="a.txt"',
    "content_language": "en",
    "expires": "Thu, 01 Jan 2032 00:00:00 GMT",
}
_METADATA: Final = {"mtime": "1700000000.123456789", "note": "a b=c%20"}


async def probe_bucket(scratch: Scratch) -> Finding:
    """Check that the credentials may list the bucket."""
    await scratch.steady.list_page(scratch.below, max_keys=1)
    return Finding("bucket", "ok", "the bucket is there, and the credentials may list it")


async def probe_verbs(scratch: Scratch) -> Finding:
    """Store one object, request its facts, read it and delete it."""
    key = scratch.key("verbs")
    await scratch.put("verbs", _BODY)
    head = await scratch.steady.head(key)
    body = (await scratch.steady.get(key)).body
    if head.size != len(_BODY) or body != _BODY:
        found = f"stored {len(_BODY)} bytes, HEAD says {head.size}, GET returns {len(body)}"
        return Finding("objects", "failed", found, "what is stored is not what was sent", "do not use it")
    part = (await scratch.steady.get(key, start=4, length=5)).body
    await scratch.steady.delete_one(DeleteItem(key))
    try:
        await scratch.steady.head(key)
    except ObjectNotFoundError:
        pass
    else:
        return Finding("objects", "differs", "a deleted object is still there", "deletes have no effect yet")
    if part != _BODY[4:9]:
        meaning = "large downloads are read in ranges and would fail"
        return Finding("objects", "differs", "a range of an object is not that range", meaning)
    return Finding("objects", "ok", "PUT, HEAD, GET, ranges and DELETE work")


async def probe_clock(scratch: Scratch) -> Finding:
    """Compare the time that the endpoint gives a new object, in whole seconds, with that of this machine."""
    before = time.time()
    await scratch.put("clock", b"")
    after = time.time()
    there = (await scratch.steady.head(scratch.key("clock"))).last_modified
    ahead = there - after if there > after else min(0.0, there + 1 - before)
    if abs(ahead) <= _CLOCK_S:
        near = "the same as here" if abs(ahead) < 1 else f"{abs(ahead):.0f} s {_side(ahead)} this machine"
        return Finding("clock", "ok", f"the endpoint's clock is {near}")
    return Finding(
        "clock",
        "differs",
        f"the endpoint's clock is {abs(ahead):.0f} s {_side(ahead)} this machine",
        "requests more than 15 minutes off are refused, and --as-of means its time",
        "set the clock of this machine by NTP",
    )


def _side(ahead: float) -> str:
    return "ahead of" if ahead > 0 else "late against"


async def probe_etag(scratch: Scratch) -> Finding:
    """Check whether the ETag of a body is its MD5, and record it for a sync."""
    result = await scratch.put("etag", _BODY)
    if is_opaque_encryption(result.encryption):
        found = f"objects are encrypted ({result.encryption}), so their ETags are no MD5s"
        meaning = "a sync sees this for each object and compares what it recorded"
        return Finding("etag", "ok", found, meaning, "--checksum sha256 keeps a digest that can be verified")
    profile = scratch.profile
    if same_etag(result.etag, md5_digest(_BODY).hex()):
        if profile.etags == "unknown":
            profile.record("etags", "md5")
        return Finding("etag", "ok", "the ETag is the MD5 of the body")
    if (await scratch.steady.get(scratch.key("etag"))).body != _BODY:
        return Finding("etag", "failed", "other bytes were stored than were sent", advice="do not use it")
    if profile.etags != "opaque":
        profile.record("etags", "opaque")
    given = "; you said --etags md5" if profile.etags != "opaque" else ""
    return Finding(
        "etag",
        "differs",
        f"the ETag is no MD5 of the body{given}",
        "ETags prove nothing: content is compared by what was recorded or by reading it",
        "--checksum sha256 keeps a digest, if the endpoint does",
    )


async def probe_integrity(scratch: Scratch) -> Finding:
    """Send a body with the MD5 of another one."""
    key = scratch.key("damaged")
    try:
        await scratch.once.put(key, _BODY, scratch.options(), md5=md5_digest(b"other bytes"))
    except IntegrityError as error:
        if error.code != ETAG_MISMATCH:
            return Finding("integrity", "ok", "a body that does not fit its Content-MD5 is refused")
    except StoreError as error:
        if error.status != 400:
            raise
        return Finding(
            "integrity", "ok", f"a body that does not fit its Content-MD5 is refused ({error.code})"
        )
    return Finding(
        "integrity",
        "differs",
        "a body that does not fit its Content-MD5 is stored",
        "the endpoint does not check what arrives; a damaged upload is only seen by its ETag",
        "run aios3sync verify after large uploads",
    )


async def probe_headers(scratch: Scratch) -> Finding:
    """Store an object with headers and metadata, and check them."""
    await scratch.put("headers", _BODY, **_HEADERS, metadata=_METADATA)
    head = await scratch.steady.head(scratch.key("headers"))
    lost = [name for name, value in _HEADERS.items() if getattr(head, name) != value]
    lost += [f"metadata {name!r}" for name, value in _METADATA.items() if head.metadata.get(name) != value]
    if not lost:
        return Finding("headers", "ok", "content headers and metadata are kept")
    words = ", ".join(lost).replace("_", "-")
    meaning = "files come back without them, and header updates never settle"
    return Finding("headers", "differs", f"not kept: {words}", meaning, "leave out the options that set them")


async def probe_checksum(scratch: Scratch) -> Finding:
    """Store an object with a SHA-256, and request it."""
    await scratch.put("checksum", _BODY, checksum="sha256")
    head = await scratch.steady.head(scratch.key("checksum"), checksums=True)
    if head.checksum is not None and head.checksum.algorithm == "sha256":
        return Finding("checksum", "ok", "a SHA-256 that is sent with an object is kept and returned")
    meaning = "--checksum has no lasting effect: contents are compared by ETags or by reading them"
    return Finding("checksum", "differs", "a SHA-256 that is sent with an object is not returned", meaning)


async def probe_versioning(scratch: Scratch) -> Finding:
    """Check whether the bucket keeps versions."""
    state = await scratch.steady.versioning()
    details: dict[str, Any] = {
        "Enabled": (
            "versions are kept",
            "--as-of works; deletes and overwrites keep the former bytes, and cost",
        ),
        "Suspended": ("versioning is suspended", "--as-of sees what was written while it was enabled"),
    }
    found, meaning = details.get(
        state, ("the bucket keeps no versions", "--as-of cannot be used; --trash keeps what a sync deletes")
    )
    return Finding("versioning", "ok", found, meaning)
