"""Set up one run and conclude it: lock, manifest, filters, policy, report.

The pipeline does the work in between; nothing here handles single files or objects.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import to_thread

from aios3sync._dataclass import asdict, replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.concurrency import raise_first_error
from aios3sync.errors import (
    DamagedManifestError,
    LockedError,
    ManifestError,
    OutOfOrderError,
)
from aios3sync.events import EndpointKnown, Warned
from aios3sync.manifest.files import (
    open_manifest,
    refuse_foreign,
    set_aside,
    temporary_manifest,
)
from aios3sync.manifest.lock import hold_lock, lock_path
from aios3sync.manifest.protocol import Manifest
from aios3sync.manifest.unfinished import UnfinishedUploads
from aios3sync.options import SyncOptions
from aios3sync.report import ReportBuilder, SyncReport
from aios3sync.sync.callbacks import Callbacks
from aios3sync.sync.directions import direction_of
from aios3sync.sync.error_file import ErrorFile
from aios3sync.sync.manifest_range import ManifestRange
from aios3sync.sync.pipeline import Pipeline
from aios3sync.sync.policy import make_filters, make_policy, must_list, scope_of, useless_rules
from aios3sync.sync.recorder import Recorder
from aios3sync.sync.request import SyncRequest, manifest_path
from aios3sync.sync.resources import Resources
from aios3sync.sync.run import Run
from aios3sync.sync.sides import Sides, sides_of
from aios3sync.sync.transfers.headers import HeaderPlan

if TYPE_CHECKING:
    from aios3sync.local.tree import LocalTree
    from aios3sync.sync.inventory_check import InventoryCheck
    from aios3sync.sync.part_progress import PartProgress
    from aios3sync.sync.renames import Renames

__all__ = ("Assembled", "assembled", "report_endpoint", "run_sync")


_HEADERS_UNKNOWN: Final = (
    "some objects were stored before headers were recorded, or found there: whether they have the headers "
    "that are asked for is not known, and they stay as they are; '--metadata-update copy' gives them to all"
)


async def run_sync(request: SyncRequest, resources: Resources) -> SyncReport:
    """Run one sync; its last event is left to :func:`~aios3sync.events.concluded`.

    Raises:
        SourceError: the source cannot be used.
        LockedError: another run of the pair is at work.
        ManifestError: the manifest that was requested cannot be used.
        StoreError: S3 cannot be used; what was uploaded until then is recorded.
        Exception: what ``on_event`` or an outcome sink raised; it ended the run in an orderly way.
    """
    callbacks = Callbacks(resources.stop.request)
    with callbacks.raised():
        return await _run_sync(request, callbacks.wrapped(resources))


async def _run_sync(request: SyncRequest, resources: Resources) -> SyncReport:
    began = time.monotonic()
    async with _opened(request) as opened:
        attempt = partial(_attempt, request, resources, opened)
        try:
            report = await attempt(opened.manifest, opened.builder)
        except (DamagedManifestError, OutOfOrderError) as error:
            reason = _damage(error)
            if reason is None or not opened.manifest.place:
                raise
            # A new manifest makes the run list the target, which finds what was sent until now.
            builder = ReportBuilder()

            def warn(message: str) -> None:
                builder.warn(message)
                resources.on_event(Warned(message))

            manifest = await _replace_damaged(request, opened, reason, warn)
            report = await attempt(manifest, builder)
        return _concluded(report, opened.error_file, began)


class _Opened(NamedTuple):
    """What a run works with; open and locked until its end.

    Attributes:
        tree: the directory of the pair.
        path: of the manifest.
        manifest: of the pair.
        builder: of the report; it has the warnings about the manifest.
        error_file: takes the errors that the report cannot hold.
        stack: closes all this, and its replacements.
    """

    tree: LocalTree
    path: str
    manifest: Manifest
    builder: ReportBuilder
    error_file: ErrorFile
    stack: AsyncExitStack


@asynccontextmanager
async def _opened(request: SyncRequest) -> AsyncGenerator[_Opened, None]:
    """Check the directory, and open the manifest; everything is closed at the end."""
    tree = request.tree()
    await tree.check(may_be_absent=request.direction == "down")
    path = await to_thread.run_sync(manifest_path, request)
    builder, error_file = ReportBuilder(), ErrorFile(path)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(error_file.close)
        manifest = await _open_manifest(request, path, builder, stack)
        yield _Opened(tree, path, manifest, builder, error_file, stack)


def _concluded(report: SyncReport, error_file: ErrorFile, began: float) -> SyncReport:
    """Return the report, completed at the end of a run; ``began`` is a time of the monotonic clock."""
    elapsed = round(time.monotonic() - began, 3)
    return replace(report, errors_file=error_file.path, elapsed_s=elapsed)


class Assembled(NamedTuple):
    """A run that is ready to begin, for callers that need other phases.

    Attributes:
        pipeline: with the run and its manifest, open and locked.
        error_file: takes the errors that the report cannot hold.
    """

    pipeline: Pipeline
    error_file: ErrorFile

    def report(self, began: float) -> SyncReport:
        """Return the report since a time of the monotonic clock."""
        report = _report(self.pipeline, self.pipeline.run.builder, "manifest")
        return _concluded(report, self.error_file, began)


@asynccontextmanager
async def assembled(request: SyncRequest, resources: Resources) -> AsyncGenerator[Assembled, None]:
    """Assemble a run without beginning it; its manifest is closed at the end.

    Raises:
        SourceError, LockedError, ManifestError: as :func:`run_sync`.
    """
    async with _opened(request) as opened:
        pipeline = await _assemble(request, resources, opened, opened.manifest, opened.builder)
        yield Assembled(pipeline, opened.error_file)


async def _attempt(
    request: SyncRequest,
    resources: Resources,
    opened: _Opened,
    manifest: Manifest,
    builder: ReportBuilder,
) -> SyncReport:
    """Run once; return the report without its time."""
    pipeline = await _assemble(request, resources, opened, manifest, builder)
    checked = _checked(request.options, listed=pipeline.listed)
    with raise_first_error():
        await pipeline.execute()
        if pipeline.run.receipt is not None:
            from aios3sync.sync.receipt import fill_receipt

            await fill_receipt(pipeline)
    report_endpoint(resources)
    headers_unknown = await _headers_unknown(pipeline)
    if headers_unknown:
        builder.warn(_HEADERS_UNKNOWN)
    if resources.part is not None:
        resources.part.ended(pipeline, headers_unknown=headers_unknown)
    else:
        _warn_of_the_whole(pipeline, builder, headers_unknown=headers_unknown)
    return _report(pipeline, builder, checked)


def _warn_of_the_whole(pipeline: Pipeline, builder: ReportBuilder, *, headers_unknown: bool) -> None:
    """Warn of what only a run of all keys can know; in a run of several parts, the whole warns of it."""
    request, check = pipeline.run.request, pipeline.run.inventory_check
    if check is not None and check.changed:
        from aios3sync.sync.inventory_check import changed_warning

        builder.warn(changed_warning(check.changed, check.created))
    if builder.archived or builder.restoring:
        from aios3sync.sync.archives import archive_warning

        builder.warn(archive_warning(builder, request))
    if pipeline.complete and (text := useless_rules(pipeline.filters)):
        builder.warn(text)
    if (
        request.direction != "up"
        and pipeline.complete
        and not (builder.scanned or any(builder.counts().values()))
    ):
        builder.warn(f"there is nothing to sync in {request.source}")
    if not headers_unknown:
        for rule in pipeline.unmatched_headers():
            builder.warn(f"--header-for {rule!r} matched no file")


def _damage(error: DamagedManifestError | OutOfOrderError) -> str | None:
    """Return why an error proves that the manifest is damaged, if it does: rows out of order do."""
    if isinstance(error, DamagedManifestError):
        return f"it is damaged: {error.reason}"
    return f"it is damaged: {error}" if error.stream == "manifest" else None


async def _replace_damaged(
    request: SyncRequest, opened: _Opened, reason: str, warn: Callable[[str], None]
) -> Manifest:
    """Set aside a manifest that turned out to be damaged; the lock stays held."""
    await opened.manifest.close()
    read_only = request.options.dry_run
    manifest = await to_thread.run_sync(
        lambda: set_aside(opened.path, request.binding, reason, warn, read_only=read_only)
    )
    opened.stack.push_async_callback(manifest.close)
    return manifest


def report_endpoint(resources: Resources) -> None:
    """Send the event about the endpoint, if it is known to differ from what S3 documents."""
    if facts := tuple(resources.profile.described()):
        resources.on_event(EndpointKnown(resources.profile.endpoint, facts))


async def _headers_unknown(pipeline: Pipeline) -> bool:
    """Whether objects may lack requested headers without a record of it in the manifest."""
    asked = pipeline.run.policy.headers
    if asked is None or asked.unrecorded or not pipeline.headers.sets_headers:
        return False
    return await pipeline.manifest.lacks_headers()


async def _open_manifest(
    request: SyncRequest, path: str, builder: ReportBuilder, stack: AsyncExitStack
) -> Manifest:
    """Open and lock the manifest of the pair; a temporary one where none is wanted or none can be kept."""
    options = request.options
    if options.manifest is False:
        manifest = await to_thread.run_sync(temporary_manifest)
    else:
        try:
            await to_thread.run_sync(refuse_foreign, path)
            if not options.dry_run:
                await _hold_lock(lock_path(path), stack)
            manifest = await to_thread.run_sync(
                lambda: open_manifest(path, request.binding, builder.warn, read_only=options.dry_run)
            )
        except LockedError:
            raise
        except ManifestError as error:
            if options.manifest is not None:
                raise
            builder.warn(f"working without a manifest, so the next run has to compare everything: {error}")
            manifest = await to_thread.run_sync(temporary_manifest)
    stack.push_async_callback(manifest.close)
    return manifest


async def _hold_lock(path: str, stack: AsyncExitStack) -> None:
    """Hold a lock until the stack is closed; both in threads, as files may be created and removed."""
    lock = hold_lock(path)
    await to_thread.run_sync(lock.__enter__)

    async def release() -> None:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lock.__exit__, None, None, None)

    stack.push_async_callback(release)


async def _assemble(
    request: SyncRequest,
    resources: Resources,
    opened: _Opened,
    manifest: Manifest,
    builder: ReportBuilder,
) -> Pipeline:
    options = request.options
    state = await manifest.state()
    progress = await _progress(request, resources, manifest)
    number = state.run + 1
    if progress is not None:
        number = progress.number
        builder.take_over(progress.counts)
    if not request.key_range.is_everything:
        manifest = ManifestRange(manifest, request.key_range)
    sides = sides_of(
        request, resources, opened.tree, order=state.order, key_after=manifest.key_after, warn=builder.warn
    )
    recorder = Recorder(
        sides.source,
        None if options.dry_run else manifest,
        builder,
        resources.on_event,
        resources.outcome_sinks,
        state=replace(state, run=number),
        progress=progress,
        error_file=opened.error_file,
        before_changes=resources.before_changes,
    )
    headers = HeaderPlan.of(options, request.overrides)
    policy = make_policy(request, state, headers, opaque_etags=resources.profile.etags == "opaque")
    run = Run(
        request,
        resources,
        direction_of(request.direction),
        *sides,
        policy,
        number,
        recorder,
        builder,
        started_ns=time.time_ns(),
        opaque_etags=state.opaque_etags,
        inventory_check=_inventory_check(options, sides),
        unfinished=await to_thread.run_sync(_unfinished, request, manifest),
        renames=_renames(options),
        progress=progress,
        receipt=resources.receipt,
    )
    filters = await to_thread.run_sync(make_filters, request, sides.files, state.receipts)
    scope = filter_scope = await to_thread.run_sync(scope_of, options)
    if not request.key_range.is_everything:
        scope = await to_thread.run_sync(scope_of, options, request.key_range)
    return Pipeline(
        run,
        manifest,
        state,
        filters,
        headers,
        must_list(request, state, scope, time.time()),
        scope,
        filter_scope,
    )


async def _progress(request: SyncRequest, resources: Resources, manifest: Manifest) -> PartProgress | None:
    """Return what earlier attempts at a part of a run have done; ``None`` where it is no part."""
    part = resources.part
    if part is None or not part.run or request.options.dry_run:
        return None
    from aios3sync.sync.part_progress import PartProgress

    return await to_thread.run_sync(PartProgress, manifest, part.run, part.before, request.direction)


def _unfinished(request: SyncRequest, manifest: Manifest) -> UnfinishedUploads:
    """Return the unfinished uploads of earlier runs, from the journal next to the manifest. Blocks."""
    prefix, key_range = request.location.prefix, request.key_range
    return UnfinishedUploads(
        manifest_path(request) if manifest.place and not request.options.dry_run else "",
        f"{request.endpoint} {request.location.bucket}",
        lambda key: key_range.holds(key.removeprefix(prefix)),
    )


def _inventory_check(options: SyncOptions, sides: Sides) -> InventoryCheck | None:
    if options.dry_run or not (options.source_listing or options.target_listing):
        return None
    from aios3sync.sync.inventory_check import InventoryCheck

    return InventoryCheck.of(sides)


def _renames(options: SyncOptions) -> Renames | None:
    if not options.track_renames:
        return None
    from aios3sync.sync.renames import Renames

    return Renames()


def _checked(options: SyncOptions, *, listed: bool) -> str:
    if options.check == "content":
        return "content"
    return "list" if listed else "manifest"


def _report(pipeline: Pipeline, builder: ReportBuilder, checked: str) -> SyncReport:
    request, resources = pipeline.run.request, pipeline.run.resources
    counts = resources.counts
    listed_at = pipeline.state.known_since(pipeline.scope) or pipeline.state.listed_at
    age = round(time.time() - listed_at, 3) if listed_at else None
    if pipeline.listed and checked == "manifest":
        checked = "list"  # it proved necessary during the run
    created = pipeline.run.listing.created
    if created and checked == "list":
        checked = "inventory"
    now_age = round(max(time.time() - created, 0.0), 3) if created else 0.0
    refused = pipeline.refused
    facts: dict[str, Any] = {
        "refused": refused and asdict(refused),
        **(counts.as_fields() if counts else {}),
        **builder.counts(),
    }
    return SyncReport(
        source=request.source,
        target=request.target,
        direction=request.direction,
        checked=checked,
        scanned=builder.scanned,
        uploaded_bytes=builder.uploaded_bytes,
        downloaded_bytes=builder.downloaded_bytes,
        copied_bytes=builder.copied_bytes,
        archived_bytes=builder.archived_bytes,
        planned=builder.planned,
        knowledge_age_s=now_age if pipeline.listed else age,
        errors=builder.errors,
        warnings=builder.warnings,
        incomplete=builder.incomplete,
        aborted=builder.aborted,
        interrupted=resources.stop.signal,
        dry_run=request.options.dry_run,
        **facts,
    )
