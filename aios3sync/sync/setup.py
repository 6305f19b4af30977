"""Puts one run together and takes it apart again: lock, manifest, filters, policy, report.

What happens in between is the pipeline's; nothing here looks at files or objects one by one.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Final

import anyio
from anyio import to_thread

from aios3sync.concurrency import Stop, raise_first_error
from aios3sync.core.decision import AskedHeaders, Policy
from aios3sync.core.filters import Filters, Rule, make_rules
from aios3sync.core.gitignore import IgnoreTree
from aios3sync.core.keys import Location, escaped
from aios3sync.core.safety import Protection
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import (
    DamagedManifestError,
    LockedError,
    ManifestError,
    OutOfOrderError,
    UsageError,
)
from aios3sync.events import EndpointKnown, EventSink, OutcomeSink, Warned, discard
from aios3sync.local.read import Place, place_of
from aios3sync.local.walk import check_root
from aios3sync.manifest.files import (
    begin_anew,
    default_path,
    lock_path,
    open_manifest,
    own_files,
    refuse_foreign,
    temporary_manifest,
)
from aios3sync.manifest.lock import hold_lock
from aios3sync.manifest.protocol import Binding, Manifest, ManifestState
from aios3sync.options import SyncOptions
from aios3sync.processes.protocol import OffloaderOpener
from aios3sync.report import ReportBuilder, SyncReport
from aios3sync.store.body_progress import SendWindow, Unlimited
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.callbacks import Callbacks
from aios3sync.sync.pipeline import Pipeline
from aios3sync.sync.recorder import ErrorFile, Recorder
from aios3sync.sync.run import Inspect, Run, StoreOpener
from aios3sync.sync.transfers.headers import HeaderPlan
from aios3sync.sync.transfers.memory import ByteSemaphore

__all__ = (
    "NAMED_FILES",
    "SyncRequest",
    "located",
    "make_filters",
    "make_policy",
    "manifest_path",
    "must_list",
    "pending_path",
    "report_endpoint",
    "run_sync",
    "scope_of",
    "useless_rules",
)


NAMED_FILES: Final = "files:"
"""The name of a source that is a list of files: one for each target, whatever the list holds today."""


_HEADERS_UNKNOWN: Final = (
    "some objects were stored before headers were recorded, or found there: whether they have the headers "
    "that are asked for is not known, and they stay as they are; '--metadata-update copy' gives them to all"
)

_RULES_NAMED: Final = 5


def _endless() -> int:
    """Where nothing limits the requests in flight but the number of workers."""
    return sys.maxsize


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """One sync as it was asked for, and what the session lends it.

    Attributes:
        root: the source directory, absolute; its own symbolic links stay, they are its identity.
            NAMED_FILES where ``files`` are given.
        location: the target.
        endpoint: its name, see :mod:`aios3sync.store.s3.endpoint`.
        options: what to do.
        open_store: opens the store at the first request.
        budget: bytes in memory.
        workers: ceiling of uploads in flight.
        room: how many more requests the session would let out at once now.
        window: bytes of large bodies on their way, all runs of the session together.
        open_offloader: opens what sends small files beside this process, ``None`` for nothing.
        on_event: progress.
        outcome_sinks: complete outcomes.
        stop: may ask to end early.
        overrides: headers of single keys.
        inspect: tells the size of an image from the key and the first bytes of a file, in a thread.
        inspected: which keys it has to look at.
        profile: what is known of the endpoint, completed when its first store is opened.
        counts: requests by operation and retries, read when the run has ended.
        files: keys and the absolute paths of their files, which then are the whole source: what is not named
            is absent, not hidden.
    """

    root: str
    location: Location
    endpoint: str
    options: SyncOptions
    open_store: StoreOpener
    budget: ByteSemaphore
    workers: int
    room: Callable[[], int] = _endless
    window: SendWindow = field(default_factory=Unlimited)
    open_offloader: OffloaderOpener | None = None
    on_event: EventSink = discard
    outcome_sinks: Sequence[OutcomeSink] = ()
    stop: Stop = field(default_factory=Stop)
    overrides: Mapping[str, PutOptions] = field(default_factory=dict)
    inspect: Inspect | None = None
    inspected: Callable[[str], bool] = lambda _: True
    profile: EndpointProfile = field(default_factory=lambda: EndpointProfile(etags="md5"))
    counts: Any = None
    files: Mapping[str, str] | None = None

    def locator(self) -> Callable[[str], str]:
        """What tells where the file of a key is."""
        root, files = self.root, self.files
        if files is not None:
            return lambda key: files.get(key, "")
        if self.options.on_bad_name == "escape":
            return lambda key: f"{root}/{self.options.path_of(key)}"
        return lambda key: f"{root}/{key}"

    def placer(self) -> Callable[[str], Place]:
        """What tells where the file of a key is, for its reading."""
        root, symlinks = self.root, self.options.symlinks
        if self.files is not None or symlinks == "follow":
            return self.locator()
        return lambda key: place_of(root, self.options.path_of(key), symlinks)

    @property
    def binding(self) -> Binding:
        """The pair that the manifest belongs to."""
        return Binding(self.root, self.endpoint, self.location.bucket, self.location.prefix)


async def run_sync(request: SyncRequest) -> SyncReport:
    """Run one sync; its last event is left to :func:`~aios3sync.events.concluded`.

    Raises:
        SourceError: the source cannot be used.
        LockedError: another run of the pair is at work.
        ManifestError: the manifest that was asked for cannot be used.
        StoreError: S3 cannot be used; what was uploaded until then is recorded.
        Exception: what ``on_event`` or an outcome sink raised; the run ended orderly because of it.
    """
    callbacks = Callbacks(request.stop.request)
    sinks = tuple(map(callbacks.outcomes, request.outcome_sinks))
    with callbacks.raised():
        return await _run_sync(
            replace(request, on_event=callbacks.events(request.on_event), outcome_sinks=sinks)
        )


async def _run_sync(request: SyncRequest) -> SyncReport:
    began = time.monotonic()
    root_stat = await to_thread.run_sync(check_root, request.root) if request.files is None else None
    path = await to_thread.run_sync(manifest_path, request)
    tally, error_file = ReportBuilder(), ErrorFile(path)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(error_file.close)
        manifest = await _open_manifest(request, path, tally, stack)
        attempt = partial(_attempt, request, root_stat, error_file)
        try:
            report = await attempt(manifest, tally)
        except (DamagedManifestError, OutOfOrderError) as error:
            reason = _damage(error)
            if reason is None or not manifest.place:
                raise
            # What was sent until now is found in the target by the listing that a new manifest asks for.
            tally = ReportBuilder()
            manifest = await _begin_anew(request, path, manifest, reason, tally, stack)
            report = await attempt(manifest, tally)
        elapsed = round(time.monotonic() - began, 3)
        return replace(report, errors_file=error_file.path, elapsed_s=elapsed)


async def _attempt(
    request: SyncRequest,
    root_stat: os.stat_result | None,
    error_file: ErrorFile,
    manifest: Manifest,
    tally: ReportBuilder,
) -> SyncReport:
    """One run from its beginning to its report, whose time is still open."""
    pipeline = await _assemble(request, manifest, tally, root_stat, error_file)
    checked = _checked(request.options, listed=pipeline.listed)
    with raise_first_error():
        await pipeline.execute()
    report_endpoint(request)
    if pipeline.complete and (text := useless_rules(pipeline.filters)):
        tally.warn(text)
    if await _headers_unknown(pipeline):
        tally.warn(_HEADERS_UNKNOWN)
    elif pipeline.complete and pipeline.run.policy.headers is not None:  # else not every key was asked about
        for rule in pipeline.headers.unmatched():
            tally.warn(f"--header-for {str(rule)!r} matched no file")
    return _report(request, pipeline, tally, checked)


def _damage(error: DamagedManifestError | OutOfOrderError) -> str | None:
    """What an error says against the manifest, if anything: its rows ascend because SQLite sorts them."""
    if isinstance(error, DamagedManifestError):
        return f"it is damaged: {error.reason}"
    return f"it is damaged: {error}" if error.stream == "manifest" else None


async def _begin_anew(
    request: SyncRequest,
    path: str,
    damaged: Manifest,
    reason: str,
    tally: ReportBuilder,
    stack: AsyncExitStack,
) -> Manifest:
    """Set a manifest aside that turned out to be damaged; the lock is held all the time."""

    def warn(message: str) -> None:
        tally.warn(message)
        request.on_event(Warned(message))

    await damaged.close()
    read_only = request.options.dry_run
    manifest = await to_thread.run_sync(
        lambda: begin_anew(path, request.binding, reason, warn, read_only=read_only)
    )
    stack.push_async_callback(manifest.close)
    return manifest


def report_endpoint(request: SyncRequest) -> None:
    """Send the event about the endpoint, if anything is known of it that S3 does not document."""
    if facts := tuple(request.profile.described()):
        request.on_event(EndpointKnown(request.profile.endpoint, facts))


async def _headers_unknown(pipeline: Pipeline) -> bool:
    """Whether headers are asked for that objects may lack, of which the manifest does not know it."""
    asked = pipeline.run.policy.headers
    if asked is None or asked.unrecorded or not pipeline.headers.asks:
        return False
    return await pipeline.manifest.lacks_headers()


def located(
    source: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]], options: SyncOptions
) -> tuple[str, dict[str, str] | None]:
    """The root of a directory, or the keys and absolute paths of a source that is a list of files."""
    if not isinstance(source, Mapping):
        return os.path.abspath(os.fspath(source)), None
    if options.files is not None:
        raise UsageError("files: a source that is a list of files needs no second list")
    if "" in source:
        raise UsageError("a source that is a list of files: a key cannot be empty")
    return NAMED_FILES, {key: os.path.abspath(path) for key, path in source.items()}


def manifest_path(request: SyncRequest) -> str:
    """Where the manifest of a request is, or would be; empty where there is no place for one.

    Blocks: a relative path asks for the directory.

    Raises:
        UsageError: no file can have the path that was asked for.
    """
    path = request.options.manifest or default_path(request.binding)
    try:
        impossible = b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        impossible = True
    if impossible:
        raise UsageError(f"manifest: no file can have the path {path!r}")
    return os.path.abspath(path) if path else ""


def pending_path(request: SyncRequest) -> str:
    """Where it is kept which thumbnails are still to be made: beside the manifests, one for each pair."""
    return default_path(request.binding).removesuffix(".sqlite") + ".thumbnails"


async def _open_manifest(
    request: SyncRequest, path: str, tally: ReportBuilder, stack: AsyncExitStack
) -> Manifest:
    """The manifest of the pair, locked; a temporary one where none is wanted or none can be kept."""
    options = request.options
    if options.manifest is False:
        manifest = await to_thread.run_sync(temporary_manifest)
    else:
        try:
            await to_thread.run_sync(refuse_foreign, path)
            if not options.dry_run:
                await _hold_lock(lock_path(path), stack)
            manifest = await to_thread.run_sync(
                lambda: open_manifest(path, request.binding, tally.warn, read_only=options.dry_run)
            )
        except LockedError:
            raise
        except ManifestError as error:
            if options.manifest is not None:
                raise
            tally.warn(f"working without a manifest, so the next run has to compare everything: {error}")
            manifest = await to_thread.run_sync(temporary_manifest)
    stack.push_async_callback(manifest.close)
    return manifest


async def _hold_lock(path: str, stack: AsyncExitStack) -> None:
    """Hold a lock until the stack is left, in threads: where there are no locks, a file is removed then."""
    lock = hold_lock(path)
    await to_thread.run_sync(lock.__enter__)

    async def release() -> None:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lock.__exit__, None, None, None)

    stack.push_async_callback(release)


async def _assemble(
    request: SyncRequest,
    manifest: Manifest,
    tally: ReportBuilder,
    root_stat: os.stat_result | None,
    error_file: ErrorFile,
) -> Pipeline:
    options = request.options
    state = await manifest.state()
    number = state.run + 1
    locate = request.locator()
    recorder = Recorder(
        locate,
        None if options.dry_run else manifest,
        tally,
        request.on_event,
        request.outcome_sinks,
        state=replace(state, run=number),
        error_file=error_file,
    )
    headers = HeaderPlan.of(options, request.overrides)
    policy = make_policy(request, state, headers)
    run = Run(
        root=request.root,
        path=locate,
        location=request.location,
        options=options,
        policy=policy,
        number=number,
        open_store=request.open_store,
        budget=request.budget,
        workers=request.workers,
        recorder=recorder,
        tally=tally,
        events=request.on_event,
        stop=request.stop,
        started_ns=time.time_ns(),
        room=request.room,
        window=request.window,
        open_offloader=request.open_offloader,
        inspect=request.inspect,
        inspected=request.inspected,
        profile=request.profile,
        opaque_etags=state.opaque_etags,
        links="follow" if request.files is not None else options.symlinks,
    )
    filters = await to_thread.run_sync(make_filters, request)
    scope = await to_thread.run_sync(scope_of, options)
    return Pipeline(
        run,
        manifest,
        state,
        filters,
        headers,
        root_stat,
        must_list(options, state, scope, time.time()),
        request.files,
        request.counts,
        scope,
    )


def make_policy(request: SyncRequest, state: ManifestState, headers: HeaderPlan) -> Policy:
    """What decisions depend on: what was asked for, and what the manifest learnt of the bucket."""
    options = request.options
    return Policy(
        delete=options.delete,
        content=options.check == "content",
        accept_content=options.accept_content,
        incremental=options.incremental,
        stat_fields=options.stat_fields,
        gzip=frozenset(extension.lower().lstrip(".") for extension in options.gzip),
        opaque_etags=state.opaque_etags or request.profile.etags == "opaque",
        protection=Protection(not options.delete_protected, options.protected_prefixes),
        headers=_asked_headers(options, headers),
    )


def _asked_headers(options: SyncOptions, plan: HeaderPlan) -> AskedHeaders | None:
    """What headers unchanged objects are to have, ``None`` where they are left alone."""
    update = options.metadata_update
    if update == "off":
        return None
    uniform = plan.common.digest if plan.uniform else None
    return AskedHeaders(plan.digest_of, uniform, unrecorded=update is not None, copy=update != "upload")


def make_filters(request: SyncRequest) -> Filters:
    """What is visible: the rules, the named files, and never the files of the run itself. Blocks.

    Raises:
        UsageError: a named file is not below the source.
    """
    options, root = request.options, request.root
    own = own_files(manifest_path(request), root)
    if options.thumbnails and options.manifest is not False:
        own += own_files(pending_path(request), root)
    return Filters(
        rules=_rules(options.ordered_rules(), root),
        files=None if options.files is None else _named_files(options, root),
        ignored=IgnoreTree() if options.gitignore else None,
        own=own,
    )


def _rules(rules: Sequence[tuple[str, ...]], root: str) -> tuple[Rule, ...]:
    is_absolute = any(pattern.startswith("/") for _, pattern, *_ in rules)
    return make_rules(rules, (root, os.path.realpath(root)) if is_absolute else ())


def useless_rules(filters: Filters) -> str:
    """A warning of the rules that matched nothing in a run that saw everything; empty if all did."""
    rules = filters.unmatched
    if not rules:
        return ""
    named = ", ".join(str(rule) for rule in rules[:_RULES_NAMED])
    more = f" and {len(rules) - _RULES_NAMED} more" if len(rules) > _RULES_NAMED else ""
    subject = "a filter rule" if len(rules) == 1 else f"{len(rules)} filter rules"
    return (
        f"{subject} matched nothing: {named}{more}; patterns are matched with whole paths below the source, "
        "'*' matches slashes too"
    )


def _named_files(options: SyncOptions, root: str) -> frozenset[str]:
    """The keys of a list of files; an absolute path begins with the source's path, or its real one."""
    roots, paths = [root], options.files or ()
    if any(path.startswith("/") for path in paths):
        roots.append(os.path.realpath(root))
    keys = (_named(path, roots) for path in paths)
    return frozenset(map(escaped, keys) if options.on_bad_name == "escape" else keys)


def _named(path: str, roots: Sequence[str]) -> str:
    """A path of ``--files-from`` as a key: ``./a//b`` is ``a/b``, and nothing leads out of the source."""
    below = path
    for root in roots:
        if path.startswith(f"{root.rstrip('/')}/"):
            below = path[len(root.rstrip("/")) :].lstrip("/")
            break
    parts = [part for part in below.split("/") if part not in ("", ".")]
    if below.startswith("/") or ".." in parts or not parts or "\0" in below:
        raise UsageError(
            f"{escape_undecodable(path)!r} in the list of files: give paths below the source, without '..'"
        )
    return "/".join(parts)


def scope_of(options: SyncOptions) -> str:
    """A digest of what hides a part of the source; empty where all of it is seen."""
    links = "" if options.symlinks == "follow" else options.symlinks
    rules = [rule[:2] for rule in options.ordered_rules()]
    if not (rules or options.gitignore or links) and options.files is None:
        return ""
    files = None if options.files is None else sorted(options.files)
    text = json.dumps([rules, files, options.gitignore, links, options.delete_excluded])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def must_list(options: SyncOptions, state: ManifestState, scope: str, now: float) -> bool:
    """Whether the run begins with a listing, see the three ways to check in the documentation."""
    if options.no_list or (not options.incremental and options.delete == "off"):
        return False  # it was asked for, or everything is sent whatever the target holds
    if options.check != "auto" or options.delete == "mirror" or not options.incremental:
        return True
    known_since = state.known_since(scope)
    return not (known_since and 0 <= now - known_since < options.max_manifest_age)


def _checked(options: SyncOptions, *, listed: bool) -> str:
    if options.check == "content":
        return "content"
    return "list" if listed else "manifest"


def _report(request: SyncRequest, pipeline: Pipeline, tally: ReportBuilder, checked: str) -> SyncReport:
    listed_at = pipeline.state.known_since(pipeline.scope) or pipeline.state.listed_at
    age = round(time.time() - listed_at, 3) if listed_at else None
    if pipeline.listed and checked == "manifest":
        checked = "list"  # it turned out to be needed on the way
    refused = pipeline.refused
    facts: dict[str, Any] = {
        "refused": refused and asdict(refused),
        "requests": dict(request.counts.requests) if request.counts else {},
        "retries": request.counts.retries if request.counts else 0,
        "throttled": request.counts.throttled if request.counts else 0,
        **tally.counts(),
    }
    return SyncReport(
        source=escape_undecodable(request.root),
        target=str(request.location),
        checked=checked,
        scanned=tally.scanned,
        uploaded_bytes=tally.uploaded_bytes,
        planned=tally.planned,
        knowledge_age_s=0.0 if pipeline.listed else age,
        errors=tally.errors,
        warnings=tally.warnings,
        interrupted=request.stop.signal,
        dry_run=request.options.dry_run,
        **facts,
    )
