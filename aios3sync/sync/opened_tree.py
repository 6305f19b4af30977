"""Opens the directory of a download before its transfers, and cleans it up after its deletes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from aios3sync.errors import UsageError
from aios3sync.events import Failed
from aios3sync.report import Failure
from aios3sync.sync.bucket_source import BucketSource, BucketWalk
from aios3sync.sync.run import Run
from aios3sync.sync.tree import TreeTarget

if TYPE_CHECKING:
    from aios3sync.local.write import TreeWriter

__all__ = ("finish_tree", "make_directories", "markers_of", "open_tree", "sweep_stale")

_JOURNAL: Final = ".ranges"


async def open_tree(run: Run) -> None:
    """Make the directory of a download, and open it for writing.

    A directory that is missing is made only for a bucket that can be listed: a misspelt name leaves no
    directory.

    Raises:
        SourceError: it cannot be made or opened.
        StoreError: it is missing, and the bucket cannot be listed.
    """
    assert isinstance(run.target, TreeTarget)  # noqa: S101 - that of a download
    if run.target.is_absent:
        store = await run.resources.open_store()
        await store.list_page(run.location.prefix, max_keys=1)
    run.tree_writer = await run.target.open_writer()
    if isinstance(run.source, BucketSource):
        folding = await run.target.folding()
        if any(folding) and not run.request.key_range.is_everything:
            raise UsageError(
                "the filesystem of the directory takes names that differ by case or by Unicode form for the "
                "same, which several machines cannot keep apart; sync without --cluster"
            )
        run.source.case_folds, run.source.form_folds = folding


async def finish_tree(run: Run, listed: object) -> None:
    """Make the directories of keys that end in ``/``, and remove unfinished files of earlier runs.

    Files that a transfer of this run could not finish stay: the next run continues them.

    Args:
        run: a download whose sides were seen to their ends.
        listed: the pass over its source.
    """
    assert isinstance(run.target, TreeTarget)  # noqa: S101 - that of a download
    await make_directories(run, markers_of(run, listed))
    if (walk := run.target.last_walk) is not None:
        unfinished = run.recorder.failed_transfers or run.builder.cancelled
        stale = _without_journal(walk.temporaries) if unfinished else walk.temporaries
        await to_thread.run_sync(run.writer.sweep, stale)


def markers_of(run: Run, listed: object) -> Sequence[str]:
    """Return the keys that directories are made for, of a download whose pass over its source has ended."""
    wanted = run.options.directory_markers == "create"
    return listed.markers if wanted and isinstance(listed, BucketWalk) else ()


async def make_directories(run: Run, keys: Sequence[str]) -> None:
    """Make the directories of keys that end in ``/``, and count those that cannot be made as failed."""
    for failure in await to_thread.run_sync(_make_directories, run.writer, keys) if keys else ():
        run.builder.find("failed", failure=failure)
        run.events(Failed(failure))


async def sweep_stale(run: Run, temporaries: Sequence[str]) -> None:
    """Remove the unfinished files of earlier runs, except those that a transfer can continue."""
    await to_thread.run_sync(run.writer.sweep, _without_journal(temporaries))


def _make_directories(writer: TreeWriter, keys: Sequence[str]) -> list[Failure]:
    failures = []
    for key in keys:
        try:
            writer.make_directory(key)
        except OSError as error:
            failures.append(Failure(key, "download", error.strerror or str(error)))
    return failures


def _without_journal(paths: Sequence[str]) -> list[str]:
    """Return the temporary files without a journal: no transfer can continue them."""
    journals = {path.removesuffix(_JOURNAL) for path in paths if path.endswith(_JOURNAL)}
    return [path for path in paths if path.rpartition(".")[0] not in journals]
