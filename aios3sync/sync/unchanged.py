"""Report a sync that finds nothing to do, which most are, in a third of the time and memory of a whole run.

It needs neither an event loop nor a client, so nothing of them is loaded. Where a listing is due, a short one
is read by a caller's function, and all that is written is the state that a run would save. Whatever is out of
the ordinary (a difference, a place that cannot be read, a manifest that needs attention, another run at work,
a request that fails) is left to :func:`~aios3sync.sync.setup.run_sync`, which begins anew and says what there
is to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Final

from aios3sync._dataclass import dataclass, replace
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import AioS3SyncError
from aios3sync.manifest.files import sound_manifest
from aios3sync.manifest.protocol import BlockingManifest, ManifestState
from aios3sync.report import SyncReport
from aios3sync.sync.manifest_diff import ManifestDiff
from aios3sync.sync.policy import make_filters, make_policy, must_list, scope_of, useless_rules
from aios3sync.sync.request import SyncRequest, manifest_path
from aios3sync.sync.transfers.headers import HeaderPlan

if TYPE_CHECKING:
    from aios3sync.core.filters import Filters
    from aios3sync.core.policy import Policy
    from aios3sync.sync.sides import FileWalk
    from aios3sync.sync.unchanged_listing import Pages

__all__ = ("report_unchanged",)

_MOST_ROWS: Final = 20_000
"""Where there are more, walking twice would cost a run with changes more than it saves the others."""
_MOST_LISTED: Final = 4_000
"""Where there are more, a run lists many parts at once, and needs less time than page after page."""
_PATIENCE_S: Final = 0.5
"""Seconds after which the walk is left to a run that shows its progress and can be stopped."""


@dataclass(frozen=True, slots=True)
class _Same:
    """What was seen of a pair that has nothing to do.

    Attributes:
        files: in the source.
        kept: keys of either side that stay as they are.
        pages: requests that the listing took, 0 where there was none.
        listed_at: when it began.
        order: of the listing, for the manifest.
    """

    files: int
    kept: int
    pages: int = 0
    listed_at: float = 0.0
    order: str = ""


def report_unchanged(
    request: SyncRequest, open_pages: Callable[[], Pages] | None = None
) -> SyncReport | None:
    """Return the report of a sync that has nothing to do; ``None`` where only a run can tell. Blocks.

    Args:
        request: the sync.
        open_pages: opens a listing of the target, ``None`` where a listing is left to a run.
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
    try:
        with sound_manifest(manifest_path(request), request.binding) as manifest:
            return None if manifest is None else _compare(request, manifest, open_pages, began)
    except (AioS3SyncError, OSError, ValueError):
        return None


def _compare(
    request: SyncRequest,
    manifest: BlockingManifest,
    open_pages: Callable[[], Pages] | None,
    began: float,
) -> SyncReport | None:
    """Compare the source with the manifest, whose lock is held, and with the target where that is due.

    Raises:
        AioS3SyncError: one of them cannot be read.
        OSError, ValueError: the same.
    """
    state, scope = manifest.state_now(), scope_of(request.options)
    source = request.tree_root()
    source.check_now()
    headers = HeaderPlan.of(request.options, request.overrides)
    policy = make_policy(request, state, headers, opaque_etags=False)
    listed = must_list(request, state, scope, time.time())
    if (
        not policy.stat_decides
        or headers.sets_headers
        or not state.last_sync
        or (listed and (open_pages is None or request.options.list_order or request.options.target_listing))
        or source.may_be_swapped(state.device)
        or manifest.has_more_rows(_MOST_LISTED if listed else _MOST_ROWS)
    ):
        return None
    filters = make_filters(request, source, state.receipts)
    walk = source.walk(filters, request.location.prefix, frozenset(state.mounts))
    if listed and open_pages is not None:
        with closing(open_pages()) as pages:
            same = _compare_listed(request, manifest, policy, filters, walk, pages)
    else:
        same = _compare_unlisted(manifest, policy, walk, began)
    if same is None or not walk.mounts <= {*state.mounts}:
        return None  # a run remembers new mounts
    if same.pages:
        manifest.save_state_now(_state_after(state.on_device(source.device, scope), scope, same))
    return _report(request, state, scope, same, useless_rules(filters), time.monotonic() - began)


def _compare_unlisted(
    manifest: BlockingManifest, policy: Policy, walk: FileWalk, began: float
) -> _Same | None:
    satisfied_by = None if policy.headers is None else policy.headers.satisfied_by
    files = 0
    for step in ManifestDiff(walk.batches(), manifest, satisfied_by).steps():
        if step.problems or step.entries or step.rows or time.monotonic() - began > _PATIENCE_S:
            return None
        files += step.files
    return _Same(files, files)


def _compare_listed(
    request: SyncRequest,
    manifest: BlockingManifest,
    policy: Policy,
    filters: Filters,
    walk: FileWalk,
    pages: Pages,
) -> _Same | None:
    """Walk while the first page is on its way, then decide about every key."""
    when = time.time()
    pages.ask(request.location.prefix, None)
    from aios3sync.sync.unchanged_listing import read_listing, same_everywhere

    entries = []
    for batch in walk.batches():
        if batch.problems:
            return None
        entries += batch.entries
    rows = manifest.rows_after("", _MOST_LISTED)
    listing = read_listing(pages, request.location, 2 * _MOST_LISTED)
    if listing is None:
        return None
    every = filters.static_is_trivial or request.options.delete_excluded
    kept = same_everywhere(
        entries, rows, listing.entries, policy, None if every else filters.visible_by_rules
    )
    return None if kept is None else _Same(len(entries), kept, listing.pages, when, listing.order)


def _state_after(state: ManifestState, scope: str, same: _Same) -> ManifestState:
    """Return the state that a run saves which has seen the same."""
    return replace(
        state.listed(scope, same.listed_at),
        last_sync=time.time(),
        run=state.run + 1,
        order=state.order or same.order,
    )


def _report(
    request: SyncRequest, state: ManifestState, scope: str, same: _Same, warning: str, elapsed: float
) -> SyncReport:
    listed_at = state.known_since(scope) or state.listed_at
    age = round(time.time() - listed_at, 3) if listed_at else None
    return SyncReport(
        source=escape_undecodable(request.root),
        target=str(request.location),
        checked="list" if same.pages else "manifest",
        scanned=same.files,
        kept=same.kept,
        planned=same.kept,
        knowledge_age_s=0.0 if same.pages else age,
        requests={"ListObjectsV2": same.pages} if same.pages else {},
        warnings=(warning,) if warning else (),
        elapsed_s=round(elapsed, 3),
    )
