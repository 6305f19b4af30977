"""Explains what a sync would do with one key, and why; it only reads, and sends one HEAD to S3.

It decides as a sync does: with the same filters, the same manifest and the same ``decide()``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from anyio import to_thread

from aios3sync._dataclass import asdict, dataclass, field
from aios3sync.concurrency import run_in_thread
from aios3sync.core.actions import (
    Action,
    Adopt,
    AdoptCopy,
    CompareDigest,
    CopyObject,
    Forget,
    NeedListing,
    Reason,
    UpdateHeaders,
)
from aios3sync.core.content import is_gzip
from aios3sync.core.decision import UNKNOWN, Evidence, Stored, has_part_digests, part_sizes
from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry
from aios3sync.core.etag import Proof, is_opaque_encryption, part_count, proof
from aios3sync.core.filters import Filters
from aios3sync.core.keys import key_problem
from aios3sync.core.metadata import recorded_md5
from aios3sync.core.policy import Policy
from aios3sync.errors import ObjectNotFoundError, UsageError
from aios3sync.events import discard
from aios3sync.local.digest import ChangedError, FileDigest
from aios3sync.manifest.files import open_manifest
from aios3sync.manifest.protocol import ManifestState
from aios3sync.store.protocol import HeadResult
from aios3sync.sync.directions import direction_of
from aios3sync.sync.policy import make_filters, make_policy, must_list, scope_of
from aios3sync.sync.request import SyncRequest, manifest_path
from aios3sync.sync.resources import Resources
from aios3sync.sync.sides import Files, Sides, sides_of
from aios3sync.sync.transfers.headers import HeaderPlan

__all__ = ("Explanation", "run_explain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The facts about one key, and the action that follows from them.

    Attributes:
        key, full_key: relative to the prefix, and in the bucket.
        visible, visibility: whether the filters show the key, and which rule decides that.
        direction: of the sync: ``up`` to the bucket, or ``down`` from it.
        source, source_error: the local file, or why there is none; the same in both directions.
        manifest: path of the manifest, empty where there is none.
        complete: whether the manifest is known to describe the whole target.
        knowledge_age_s: seconds since the whole target was last listed, ``None`` for never.
        recorded: the key's row in the manifest.
        target, encoding, encryption: the object and its properties; the same in both directions.
        proof: what its ETag proves, in words.
        stored_md5: the digest in its metadata, or empty.
        listed: whether a sync with these options would list the target; if not, it decides without a listing.
        compared: what is compared by content, in words; empty where the stat alone decides.
        action, reason: what a sync would do, and why.
        requests: S3 requests of this explanation.
    """

    command: str = "explain"
    key: str
    full_key: str
    direction: str = "up"
    visible: bool
    visibility: str
    source: SourceEntry | None = None
    source_error: str = ""
    manifest: str = ""
    complete: bool = False
    knowledge_age_s: float | None = None
    recorded: RecordedEntry | None = None
    target: TargetEntry | None = None
    encoding: str = ""
    encryption: str = ""
    proof: str = ""
    stored_md5: str = ""
    listed: bool = True
    compared: str = ""
    action: str
    reason: str
    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Always 0: an explanation does not fail."""
        return 0

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as the JSON document of ``--json``."""
        named = {
            name: entry and entry._asdict()
            for name in ("source", "recorded", "target")
            for entry in (getattr(self, name),)
        }
        if self.recorded is not None:
            named["recorded"]["settled"] = bool(self.recorded.settled)  # SQLite has no booleans
        return {**asdict(self), **named, "requests": dict(self.requests)}


async def run_explain(request: SyncRequest, resources: Resources, key: str) -> Explanation:
    """Explain one key.

    Args:
        request: the sync to explain.
        resources: of the session.
        key: relative to the prefix, or as ``s3://bucket/prefix/key``.

    Raises:
        UsageError: the key cannot belong to the target.
        SourceError: the source cannot be used.
        StoreError: the request to S3 failed.
    """
    key = _relative_key(request, key)
    if request.options.as_of is not None:
        raise UsageError("as_of: what a run would do is explained of the present alone; leave it out")
    tree = request.tree()
    await tree.check(may_be_absent=request.direction == "down")
    sides = sides_of(request, resources, tree)
    found = await (sides.source if request.direction == "copy" else tree).entry(key)
    source, source_error = (None, found) if isinstance(found, str) else (found, "")
    place, state, recorded = await _manifest_row(request, key)
    filters = await _filters(request, sides, key, state.receipts)
    scope = await to_thread.run_sync(scope_of, request.options)
    known_since = state.known_since(scope)
    listed_at = known_since or state.listed_at
    store = await resources.open_store()
    try:
        head = await store.head(request.location.prefix + key)
    except ObjectNotFoundError:
        head = None
    headers = HeaderPlan.of(request.options, request.overrides)
    policy = make_policy(request, state, headers, opaque_etags=resources.profile.etags == "opaque")
    listed = must_list(request, state, scope, time.time())
    key_state = _KeyState(request, sides.files, key, policy, listed, source, recorded, head)
    compared, action, reason = await key_state.decision(visible=filters.visible(key))
    return Explanation(
        key=key,
        full_key=request.location.prefix + key,
        direction=request.direction,
        visible=filters.visible(key),
        visibility=filters.explain(key),
        source=source,
        source_error=source_error,
        manifest=place,
        complete=known_since > 0,
        knowledge_age_s=round(time.time() - listed_at, 3) if listed_at else None,
        recorded=recorded,
        target=key_state.target,
        encoding=head.content_encoding if head else "",
        encryption=head.encryption if head else "",
        proof=key_state.proof(),
        stored_md5=recorded_md5(head.metadata) if head else "",
        listed=listed,
        compared=compared,
        action=action,
        reason=reason,
        requests=dict(resources.counts.requests),
    )


def _relative_key(request: SyncRequest, key: str) -> str:
    key = key.removeprefix(str(request.location))
    if not key or key.endswith("/"):
        raise UsageError(f"{key!r} is no key; name one file, relative to {request.location}")
    if (problem := key_problem(request.location.prefix + key)) is not None:
        raise UsageError(f"{key!r} {problem}")
    return key


async def _filters(request: SyncRequest, sides: Sides, key: str, receipts: Sequence[str]) -> Filters:
    """Return the filters, with the ``.gitignore`` files of the directories above the key."""
    filters = await to_thread.run_sync(make_filters, request, sides.files, receipts)
    if filters.ignored is not None:
        for directory, content in await sides.source.ignore_files(key):
            filters.ignored.read(directory, content)
    return filters


async def _manifest_row(request: SyncRequest, key: str) -> tuple[str, ManifestState, RecordedEntry | None]:
    """Return the path of the manifest, its state and the key's row.

    A manifest that cannot be used is shown as none; the warning that says so is discarded.
    """
    if request.options.manifest is False:
        return "", ManifestState(), None
    path = await to_thread.run_sync(manifest_path, request)
    if not path:
        return "", ManifestState(), None
    manifest = await to_thread.run_sync(lambda: open_manifest(path, request.binding, discard, read_only=True))
    try:
        return manifest.place, await manifest.state(), await manifest.get(key)
    finally:
        await manifest.close()


@dataclass(frozen=True, slots=True)
class _KeyState:
    """Source, manifest and target of one key, and the decision from them."""

    request: SyncRequest
    files: Files
    key: str
    policy: Policy
    listed: bool
    source: SourceEntry | None
    recorded: RecordedEntry | None
    head: HeadResult | None

    @property
    def target(self) -> TargetEntry | None:
        """The object as a listing would show it."""
        head = self.head
        return TargetEntry(self.key, head.size, head.etag, head.last_modified) if head else None

    @property
    def _opaque(self) -> bool:
        head = self.head
        return self.policy.opaque_etags or (head is not None and is_opaque_encryption(head.encryption))

    def proof(self) -> str:
        """Return what the object's ETag proves, in words."""
        if self.head is None:
            return ""
        kind = proof(self.head.etag, opaque=self._opaque)
        body = "the compressed body" if is_gzip(self.head.content_encoding) else "the body"
        match kind:
            case Proof.MD5:
                return f"the MD5 of {body}"
            case Proof.PARTS:
                return f"the MD5 of the MD5s of {part_count(self.head.etag)} parts of {body}"
            case Proof.NOTHING:
                if is_opaque_encryption(self.head.encryption):
                    return "nothing: encryption hides it"
                return "nothing: it is no digest at this endpoint" if self._opaque else "nothing"

    async def decision(self, *, visible: bool) -> tuple[str, str, str]:
        """Return what is compared, the action and its reason, in words."""
        if not visible:
            return "", "keep", "hidden: a sync does not see it on either side"
        direction = direction_of(self.request.direction)
        target = self.target if self.listed else UNKNOWN
        if self.source is None and self.recorded is None and self.target is None:
            return "", "nothing", "the key is nowhere"
        if self.source is None and self.recorded is None and not self.listed:
            return "", "nothing", "not in the source; the run would not ask S3"
        sides = (self.source, target) if self.request.direction != "down" else (target, self.source)
        action = direction.decide(sides[0], self.recorded, sides[1], self.policy)
        if not isinstance(action, CompareDigest):
            return "", *_in_words(action)
        digest = await self._digest(action)
        if digest is None:
            return self._comparison(action), "nothing", "the file cannot be read, or changes all the time"
        head = self.head
        stored = (
            Stored(recorded_md5(head.metadata), head.content_encoding, self._opaque)
            if head is not None
            else Stored("")
        )
        settled = direction.settle(action, Evidence(digest.md5, digest.part_etags, stored), self.policy)
        return f"{self._comparison(action)}; the file has {digest.md5}", *_in_words(settled)

    def _comparison(self, action: CompareDigest) -> str:
        if action.target is None:
            recorded = self.recorded
            if recorded is not None and has_part_digests(recorded):
                return f"the MD5s of the file's parts with the recorded ETag {recorded.etag}"
            return f"the file with the recorded MD5 {recorded.md5 if recorded else ''}"
        head = self.head
        stored = recorded_md5(head.metadata) if head is not None else ""
        text = f"the file with the object's ETag {action.target.etag} ({self.proof()})"
        if not stored:
            return text
        of_body = proof(action.target.etag, opaque=self._opaque) is Proof.MD5
        if of_body and head is not None and not head.content_encoding:
            denied = f"{text}; the MD5 {stored} of its metadata says otherwise, and is not believed"
            return text if stored == action.target.etag else denied
        return f"{text}, then with the MD5 {stored} of its metadata"

    async def _digest(self, action: CompareDigest) -> FileDigest | None:
        sizes = part_sizes(action, self.request.options.part_size)
        try:
            return await run_in_thread(lambda stop: self.files.digest(self.key, stop, part_sizes=sizes))
        except (OSError, ChangedError):
            return None


def _in_words(action: Action) -> tuple[str, str]:
    """Return an action and its reason in words."""
    match action:
        case CopyObject():
            return "copy", str(action.reason)
        case Adopt() | AdoptCopy():
            return "adopt", str(Reason.EQUAL)
        case Forget():
            return "forget", str(Reason.GONE)
        case NeedListing():
            return "ask", "gone from the source: the run lists the target before it decides"
        case UpdateHeaders():
            return "update", str(action.reason)
        case CompareDigest():
            return "compare", "only the content can tell"
        case _:
            return type(action).__name__.lower(), str(action.reason)
