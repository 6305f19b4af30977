"""Report a sync that finds nothing to do, which most are, in a third of the time and memory of a whole run.

It needs neither an event loop nor a client, so nothing of them is loaded. It writes nothing. Whatever is out
of the ordinary (a difference, a place that cannot be read, a manifest that needs attention, another run at
work) is left to :func:`~aios3sync.sync.setup.run_sync`, which begins anew and says what there is to say.
"""

from __future__ import annotations

import time
from typing import Final

from aios3sync.core.text import escape_undecodable
from aios3sync.errors import AioS3SyncError
from aios3sync.manifest.files import sound_manifest
from aios3sync.manifest.protocol import BlockingManifest, ManifestState
from aios3sync.report import SyncReport
from aios3sync.sync.manifest_diff import ManifestDiff
from aios3sync.sync.policy import make_filters, make_policy, must_list, scope_of, useless_rules
from aios3sync.sync.request import SyncRequest, manifest_path
from aios3sync.sync.transfers.headers import HeaderPlan

__all__ = ("report_unchanged",)

_MOST_ROWS: Final = 20_000
"""Where there are more, walking twice would cost a run with changes more than it saves the others."""
_PATIENCE_S: Final = 0.5
"""Seconds after which the walk is left to a run that shows its progress and can be stopped."""


def report_unchanged(request: SyncRequest) -> SyncReport | None:
    """Return the report of a sync that has nothing to do; ``None`` where only a run can tell. Blocks."""
    began = time.monotonic()
    options = request.options
    if (
        request.direction != "up"
        or request.files is not None
        or options.dry_run
        or options.thumbnails
        or options.manifest is False
    ):
        return None
    try:
        with sound_manifest(manifest_path(request), request.binding) as manifest:
            return None if manifest is None else _compare(request, manifest, began)
    except (AioS3SyncError, OSError, ValueError):
        return None


def _compare(request: SyncRequest, manifest: BlockingManifest, began: float) -> SyncReport | None:
    """Compare the source with the manifest, whose lock is held.

    Raises:
        AioS3SyncError: one of the two cannot be read.
        OSError: the same.
    """
    state, scope = manifest.state_now(), scope_of(request.options)
    source = request.tree()
    source.check_now()
    headers = HeaderPlan.of(request.options, request.overrides)
    policy = make_policy(request, state, headers, opaque_etags=False)
    if (
        not policy.stat_decides
        or headers.sets_headers
        or not state.last_sync
        or must_list(request, state, scope, time.time())
        or source.may_be_swapped(state.device)
        or manifest.has_more_rows(_MOST_ROWS)
    ):
        return None
    filters = make_filters(request, source)
    walk = source.walk(filters, request.location.prefix, frozenset(state.mounts))
    satisfied_by = None if policy.headers is None else policy.headers.satisfied_by
    files = 0
    for step in ManifestDiff(walk.batches(), manifest, satisfied_by).steps():
        if step.problems or step.entries or step.rows or time.monotonic() - began > _PATIENCE_S:
            return None
        files += step.files
    if not walk.mounts <= {*state.mounts}:
        return None  # a run remembers them
    useless = useless_rules(filters)
    return _report(request, state, scope, files, (useless,) if useless else (), time.monotonic() - began)


def _report(
    request: SyncRequest,
    state: ManifestState,
    scope: str,
    files: int,
    warnings: tuple[str, ...],
    elapsed: float,
) -> SyncReport:
    listed_at = state.known_since(scope) or state.listed_at
    return SyncReport(
        source=escape_undecodable(request.root),
        target=str(request.location),
        checked="manifest",
        scanned=files,
        kept=files,
        planned=files,
        knowledge_age_s=round(time.time() - listed_at, 3) if listed_at else None,
        warnings=warnings,
        elapsed_s=round(elapsed, 3),
    )
