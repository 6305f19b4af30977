"""Run a sync that has little or nothing to do, as most have, in a third of the time of a whole run.

Neither an event loop nor a client is needed or loaded. Where a listing is due, a function of the caller reads
it if it is short, and another one sends small files that are new or changed. Anything unusual (other
differences, a place that cannot be read, a manifest that needs attention, another run at work, a request that
fails, a slow line) is left to :func:`~aios3sync.sync.setup.run_sync`, which does the rest and reports it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from aios3sync._dataclass import dataclass, defaults_of, replace
from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import AioS3SyncError
from aios3sync.manifest.files import sound_manifest
from aios3sync.manifest.protocol import BlockingManifest, ManifestState
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.sync.manifest_diff import ManifestDiff
from aios3sync.sync.policy import make_filters, make_policy, must_list, scope_of, useless_rules
from aios3sync.sync.request import SyncRequest, manifest_path
from aios3sync.sync.transfers.headers import HeaderPlan

if TYPE_CHECKING:
    from aios3sync.core.actions import CompareDigest, Upload
    from aios3sync.core.entries import RecordedEntry, ScanBatch, SourceEntry
    from aios3sync.core.filters import Filters
    from aios3sync.core.keys import Location
    from aios3sync.core.policy import Policy
    from aios3sync.sync.sides import FilesNow
    from aios3sync.sync.small_changes import SmallChanges
    from aios3sync.sync.small_listing import Listed, Pages
    from aios3sync.sync.small_uploads import AppliedChanges, Puts

    Batch = ScanBatch[SourceEntry]

__all__ = ("run_small",)

_MOST_ROWS: Final = 20_000
"""With more rows, walking twice would cost runs with changes more than it saves the others."""
_MOST_LISTED: Final = 4_000
"""With more objects, a run that lists many parts at once is faster than page after page."""
_PATIENCE_S: Final = 0.5
"""Seconds of walking after which it is left to a run, which shows its progress and can be stopped."""
_HEADERS: Final = ("metadata", "tags")  # with which nothing is sent here in any case
_SELECTION: Final = ("exclude", "gitignore", "include", "rules", "symlinks")
_COMPARISON: Final = (
    *("check", "delete", "list_order", "list_workers", "manifest", "max_manifest_age", "no_list"),
    *("max_delete", "max_delete_ratio"),
)
_NOT_OF_SENDING: Final = frozenset((*_HEADERS, *_SELECTION, *_COMPARISON))
"""Options that change nothing of how a file is sent. With any other one a run sends."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The counts of a pair, and the actions for it.

    Attributes:
        files: in the source.
        kept: keys of either side that stay as they are, without those whose file has to be read first.
        pages: requests that the listing took; 0 where there was none.
        listed_at: when it began.
        order: of the listing, for the manifest.
        actions: for the other keys.
        applied: the actions that were carried out.
    """

    files: int
    kept: int
    pages: int = 0
    listed_at: float = 0.0
    order: str = ""
    actions: Sequence[Upload | CompareDigest] = ()
    applied: AppliedChanges | None = None

    @property
    def has_news(self) -> bool:
        """Whether the state of the manifest has changed."""
        return bool(self.pages) or (self.applied is not None and self.applied.recorded)


def run_small(
    request: SyncRequest,
    open_pages: Callable[[], Pages] | None = None,
    open_puts: Callable[[], Puts] | None = None,
    on_upload: Callable[[RecordedEntry, str], object] = lambda _row, _reason: None,
    processes: int = 1,
) -> SyncReport | None:
    """Run a sync that has little or nothing to do; return ``None`` where a run has to end it. Blocks.

    Args:
        request: the sync.
        open_pages: opens a listing of the target; ``None`` where a listing is left to a run.
        open_puts: opens a store for small objects; ``None`` where that is left to a run.
        on_upload: called with the row of each sent file and the reason, when all of them are recorded; also
            where a run has to end it.
        processes: how many may hash files; with more than 1 the caller has no threads.
    """
    began = time.monotonic()
    options = request.options
    if (
        request.direction != "up"
        or request.files is not None
        or options.dry_run
        or options.thumbnails
        or options.receipt
        or options.manifest is False
    ):
        return None
    if not _sends_plainly(options):
        open_puts = None
    try:
        source = request.tree_root(processes)
        source.check_now()
        makes = open_puts is not None
        with sound_manifest(manifest_path(request), request.binding, make=makes) as manifest:
            if manifest is None:
                return None
            report, applied = _run(request, source, manifest, open_pages, open_puts, began)
    except (AioS3SyncError, OSError, ValueError):
        return None
    for row, reason in applied.uploaded if applied is not None else ():
        on_upload(row, reason)
    return report


def _sends_plainly(options: SyncOptions) -> bool:
    """Whether no option changes how files are sent."""
    return all(
        name in _NOT_OF_SENDING or getattr(options, name) == default
        for name, default in defaults_of(SyncOptions).items()
    )


def _run(
    request: SyncRequest,
    source: FilesNow,
    manifest: BlockingManifest,
    open_pages: Callable[[], Pages] | None,
    open_puts: Callable[[], Puts] | None,
    began: float,
) -> tuple[SyncReport | None, AppliedChanges | None]:
    """Compare the source with the manifest, whose lock is held, and with the target where that is due.

    Raises:
        AioS3SyncError: one of them cannot be read.
        OSError, ValueError: the same.
    """
    nothing = None, None
    state, scope = manifest.state_now(), scope_of(request.options)
    headers = HeaderPlan.of(request.options, request.overrides)
    policy = make_policy(request, state, headers, opaque_etags=False)
    listed = must_list(request, state, scope, time.time())
    if (
        not policy.stat_decides
        or headers.sets_headers
        or (listed and (open_pages is None or request.options.list_order or request.options.target_listing))
        or source.may_be_swapped(state.device)
        or manifest.has_more_rows(_MOST_LISTED if listed else _MOST_ROWS)
    ):
        return nothing
    if state.opaque_etags:
        open_puts = None
    filters = make_filters(request, source, state.receipts)
    visible = _visible(request, filters)
    walk = source.walk(filters, request.location.prefix, frozenset(state.mounts))
    batches = _patiently(walk.batches())
    if listed and open_pages is not None:
        with closing(open_pages()) as pages:
            found = _compare_listed(request.location, manifest, policy, batches, visible, pages)
    else:
        found = _compare_unlisted(manifest, policy, batches, visible, sends=open_puts is not None)
    if found is None or not walk.mounts <= {*state.mounts}:
        return nothing  # a run remembers new mounts
    if found.actions:
        if open_puts is None:
            return nothing
        from aios3sync.sync.small_uploads import apply_changes

        applied = apply_changes(request, source, manifest, found.actions, policy, open_puts)
        if not applied.whole:
            return None, applied
        found = replace(found, applied=applied)
    if found.has_news:
        manifest.save_state_now(_state_after(state.on_device(source.device, scope), scope, found))
    elapsed = time.monotonic() - began
    return _report(request, state, scope, found, useless_rules(filters), elapsed), found.applied


def _visible(request: SyncRequest, filters: Filters) -> Callable[[str], bool] | None:
    """Return the filters for rows and objects; ``None`` if all are visible."""
    every = filters.static_is_trivial or request.options.delete_excluded
    return None if every else filters.visible_by_rules


def _patiently(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches as long as waiting for them takes little time."""
    left = _PATIENCE_S
    while True:
        asked = time.monotonic()
        batch = next(batches, None)
        left -= time.monotonic() - asked
        if left < 0:
            raise TimeoutError("a source that takes time to walk")
        if batch is None:
            return
        yield batch


def _compare_unlisted(
    manifest: BlockingManifest,
    policy: Policy,
    batches: Iterator[Batch],
    visible: Callable[[str], bool] | None,
    *,
    sends: bool,
) -> _Found | None:
    satisfied_by = None if policy.headers is None else policy.headers.satisfied_by
    files = kept = 0
    changes: SmallChanges | None = None
    for step in ManifestDiff(batches, manifest, satisfied_by).steps():
        if step.problems:
            return None
        files, kept = files + step.files, kept + step.agreed
        if step.entries or step.rows:
            if not sends:
                return None
            from aios3sync.sync.small_changes import SmallChanges, find_changes

            changes = changes or SmallChanges()
            if not find_changes(step.entries, step.rows, None, policy, visible, changes):
                return None
    if changes is None:
        return _Found(files, kept)
    return _Found(files, kept + changes.kept, actions=changes.actions)


def _compare_listed(
    location: Location,
    manifest: BlockingManifest,
    policy: Policy,
    batches: Iterator[Batch],
    visible: Callable[[str], bool] | None,
    pages: Pages,
) -> _Found | None:
    """Walk while the first page is in flight, then decide about every key."""
    when = time.time()
    pages.ask(location.prefix, None)
    from aios3sync.sync.small_changes import MOST_COMPARED, MOST_FILES, SmallChanges, find_changes
    from aios3sync.sync.small_listing import read_listing

    rows = manifest.rows_after("", _MOST_LISTED)
    most = 2 * _MOST_LISTED if rows else MOST_COMPARED
    known = len(rows)
    listing: Listed | None = None
    entries: list[SourceEntry] = []
    for batch in batches:
        entries += batch.entries
        if batch.problems:
            return None
        if listing is None and len(entries) > known + MOST_FILES:
            # So many new files are left to a run, unless their objects are there and only the rows are lost.
            listing = read_listing(pages, location, most)
            if listing is None:
                return None
            known = len(listing.entries)
        if len(entries) > known + MOST_FILES:
            return None
    listing = listing or read_listing(pages, location, most)
    changes = SmallChanges()
    if listing is None or not find_changes(entries, rows, listing.entries, policy, visible, changes):
        return None
    return _Found(len(entries), changes.kept, listing.pages, when, listing.order, changes.actions)


def _state_after(state: ManifestState, scope: str, found: _Found) -> ManifestState:
    """Return the state that a whole run would save."""
    if found.pages:
        state = state.listed(scope, found.listed_at)
    return replace(state, last_sync=time.time(), run=state.run + 1, order=state.order or found.order)


def _report(
    request: SyncRequest, state: ManifestState, scope: str, found: _Found, warning: str, elapsed: float
) -> SyncReport:
    listed_at = state.known_since(scope) or state.listed_at
    age = round(time.time() - listed_at, 3) if listed_at else None
    requests: dict[str, int] = {}
    if found.pages:
        requests["ListObjectsV2"] = found.pages
    uploaded = adopted = touched = size = 0
    kept = found.kept
    if (done := found.applied) is not None:
        uploaded, adopted, touched = len(done.uploaded), done.adopted, done.touched
        size, kept = done.size, kept + done.kept
    if uploaded:
        requests["PutObject"] = uploaded
    return SyncReport(
        source=escape_undecodable(request.root),
        target=str(request.location),
        checked="list" if found.pages else "manifest",
        scanned=found.files,
        kept=kept,
        uploaded=uploaded,
        uploaded_bytes=size,
        adopted=adopted,
        touched=touched,
        planned=kept + uploaded + adopted + touched,
        knowledge_age_s=0.0 if found.pages else age,
        requests=requests,
        warnings=(warning,) if warning else (),
        elapsed_s=round(elapsed, 3),
    )
