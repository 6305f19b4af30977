"""Runs the probes in their order, turns their errors into findings, and removes what they wrote."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.errors import AccessDeniedError, StoreError, UsageError
from aios3sync.events import EventSink, Warned
from aios3sync.objects.doctor import listings, objects, writes
from aios3sync.objects.doctor.report import DoctorReport, Finding
from aios3sync.objects.doctor.scratch import Scratch
from aios3sync.store.s3.deletes import is_not_implemented

__all__ = ("run_probes",)


class _Probe(NamedTuple):
    """One probe.

    Attributes:
        name: of its finding, if it ends with an error.
        ask: the function of the probe.
        rights: what a policy has to allow for it.
        lost: what a sync cannot do if it fails.
        writes: whether it writes.
        essential: whether the bucket is unusable without it.
        fact: the fact of the endpoint's profile that is ``False`` where the endpoint does not support the
            operation.
    """

    name: str
    ask: Callable[[Scratch], Awaitable[Finding | list[Finding]]]
    rights: str
    lost: str
    writes: bool = True
    essential: bool = False
    fact: str = ""


_NO_BUCKET: Final = "nothing can be synced with it"
_NO_WRITE: Final = "nothing can be uploaded"
_RIGHTS: Final = "s3:PutObject, s3:GetObject and s3:DeleteObject"
_PROBES: Final = (
    _Probe("bucket", objects.probe_bucket, "s3:ListBucket", _NO_BUCKET, writes=False, essential=True),
    _Probe("objects", objects.probe_verbs, _RIGHTS, _NO_WRITE, essential=True),
    _Probe("clock", objects.probe_clock, _RIGHTS, "the clocks are not compared"),
    _Probe("etag", objects.probe_etag, _RIGHTS, "what ETags prove is not known"),
    _Probe("integrity", objects.probe_integrity, _RIGHTS, "whether uploads are checked is not known"),
    _Probe(
        "conditions", writes.probe_conditions, _RIGHTS, "runs that share a manifest can disturb each other"
    ),
    _Probe("conditional delete", writes.probe_conditional_delete, _RIGHTS, "a delete looks at nothing else"),
    _Probe(
        "batch delete",
        listings.probe_batch_delete,
        "s3:DeleteObject",
        "keys are deleted one by one, each with a request of its own",
        fact="batch_delete",
    ),
    _Probe("listing", listings.probe_listing, "s3:ListBucket", "nothing can be compared"),
    _Probe("keys", listings.probe_keys, _RIGHTS, "files with odd names may fail"),
    _Probe("newline in keys", listings.probe_newline, _RIGHTS, "files with such names may fail"),
    _Probe(
        "multipart", writes.probe_multipart, "s3:ListMultipartUploadParts", "large files cannot be stored"
    ),
    _Probe("abort", writes.probe_abort, "s3:AbortMultipartUpload", "parts of broken uploads stay"),
    _Probe("copy", writes.probe_copy, _RIGHTS, "renames and changed headers are uploads"),
    _Probe("headers", objects.probe_headers, _RIGHTS, "headers and times of files are not kept"),
    _Probe("checksum", objects.probe_checksum, _RIGHTS, "--checksum cannot be used"),
    _Probe(
        "versioning", objects.probe_versioning, "s3:GetBucketVersioning", "--as-of may fail", writes=False
    ),
    _Probe("latency", writes.probe_latency, "s3:GetObject", "it is not measured", writes=False),
    _Probe("speed", writes.probe_throughput, _RIGHTS, "it is not measured"),
)
_VERSIONS_STAY: Final = Finding(
    "removal",
    "ok",
    "the keys of these probes are deleted, the bucket keeps their versions",
    advice="a lifecycle rule for noncurrent versions removes them",
)
_EXISTING: Final = _Probe("listing", listings.probe_existing, "s3:ListBucket", _NO_BUCKET, writes=False)


async def run_probes(
    scratch: Scratch,
    url: str,
    endpoint: str,
    requests: Mapping[str, int],
    on_event: EventSink,
    *,
    read_only: bool = False,
) -> DoctorReport:
    """Run the probes one after the other; their keys are always removed, also after a cancellation.

    Args:
        scratch: the prefix that they write to.
        url: the bucket and the prefix, for the report.
        endpoint: its name, for the report.
        requests: the requests that were sent, counted by the stores of ``scratch``.
        on_event: called with ``Warned`` for each key that is left, if there is no report to name it.
        read_only: run only those that need no write.
    """
    findings: list[Finding] = []
    left: tuple[str, ...] = ()
    ended = False
    try:
        await _run(scratch, findings, read_only=read_only)
        ended = True
    finally:
        left = await scratch.remove()
        for line in left if not ended else ():
            on_event(Warned(line))
    if scratch.versioned and not left:
        findings.append(_VERSIONS_STAY)
    return DoctorReport(
        url, endpoint, tuple(findings), tuple(scratch.profile.described()), left, dict(requests)
    )


async def _run(scratch: Scratch, findings: list[Finding], *, read_only: bool) -> None:
    may_write = not read_only
    for probe in (*_PROBES, *([_EXISTING] if read_only else [])):
        if probe.writes and not may_write:
            if not read_only:
                findings.append(
                    Finding(probe.name, "skipped", "not asked, because objects cannot be written")
                )
            continue
        found = await _asked(probe, scratch)
        findings += found
        if any(finding.is_fatal for finding in found):
            if not probe.writes:
                return
            may_write = False


async def _asked(probe: _Probe, scratch: Scratch) -> list[Finding]:
    """Return the findings of a probe; its error becomes a finding."""
    try:
        found = await probe.ask(scratch)
    except UsageError:
        raise
    except AccessDeniedError as error:
        advice = f"allow {probe.rights}" if error.is_by_policy else ""  # else the credentials are wrong
        found = Finding(probe.name, "refused", str(error), probe.lost, advice)
    except StoreError as error:
        if is_not_implemented(error):
            if probe.fact:
                scratch.profile.record(probe.fact, False)
            found = Finding(probe.name, "differs", f"the endpoint does not know it ({error})", probe.lost)
        else:
            found = Finding(probe.name, "failed", str(error), probe.lost)
    results = [found] if isinstance(found, Finding) else found
    return [finding._replace(essential=probe.essential) for finding in results]
