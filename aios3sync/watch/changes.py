"""Notices changes of a directory, through the kernel. For changes of a bucket see queue_changes."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import Final

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.filters import Filters
from aios3sync.errors import UsageError

__all__ = ("Changes", "clock_ticks", "tree_changes")

_TICK_S: Final = 0.2
_MOST_CHANGES: Final = 8000
"""Half of the events that the kernel queues by default (inotify(7), max_queued_events): beyond that
some may be lost."""


class Changes(NamedTuple):
    """The changes since the last call.

    Attributes:
        paths: files that were added or changed, relative.
        rescan: whether there were other changes as well: removals, directories, lost events.
    """

    paths: tuple[str, ...] = ()
    rescan: bool = False


async def tree_changes(root: str, filters: Filters) -> AsyncGenerator[Changes, None]:
    """Yield the changes below a directory several times a second, even if there are none.

    Args:
        root: the directory, absolute.
        filters: what a sync sees; changes of hidden files are ignored.

    Raises:
        UsageError: the package for watching is not installed, or the kernel's limit of watches is reached.
    """
    try:
        from watchfiles import Change, awatch
    except ImportError:
        raise UsageError("watching needs the package watchfiles: pip install watchfiles") from None
    start, tick = len(root.rstrip("/")) + 1, int(_TICK_S * 1000)
    seen = awatch(root, watch_filter=None, step=50, debounce=tick, rust_timeout=tick, yield_on_timeout=True)
    try:
        async for batch in seen:
            changed = [(change, path[start:]) for change, path in batch if len(path) > start]
            gone = [path for change, path in changed if change is Change.deleted]
            paths = [path for change, path in changed if change is not Change.deleted]
            files = await to_thread.run_sync(_files, root, paths) if paths else set()
            others = any(_may_be_seen(path, filters) for path in (*gone, *paths) if path not in files)
            seen_files = tuple(path for path in paths if path in files and filters.visible_by_rules(path))
            yield Changes(seen_files, rescan=others or len(batch) > _MOST_CHANGES)
    except OSError as error:
        raise UsageError(
            f"{root!r} cannot be watched: {error.strerror or error}; on Linux the limit is "
            "fs.inotify.max_user_watches (sysctl)"
        ) from None
    finally:
        await seen.aclose()


def _files(root: str, paths: list[str]) -> set[str]:
    return {path for path in paths if os.path.isfile(os.path.join(root, path))}


def _may_be_seen(path: str, filters: Filters) -> bool:
    """Whether a sync may see a path, which is a directory, or was a directory or a file."""
    return filters.visible_by_rules(path) or filters.may_contain(f"{path}/")


async def clock_ticks() -> AsyncGenerator[Changes, None]:
    """Yield empty changes several times a second: only the regular runs are made."""
    while True:
        await anyio.sleep(_TICK_S)
        yield Changes()
