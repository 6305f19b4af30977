"""Walk source and manifest side by side and return only the differences. Nothing is decided here.

This is used by runs that do not list the target. Where a batch of the walk equals the next rows of the
manifest, as it does nearly everywhere, the two lists are compared as a whole, which costs a tenth of looking
at each file. All of it is done in one thread: two would only compete for the interpreter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from operator import itemgetter

from aios3sync._namedtuple import NamedTuple
from aios3sync._typing import Final
from aios3sync.core.entries import Problem, RecordedEntry, ScanBatch, SourceEntry
from aios3sync.manifest.protocol import Manifest

__all__ = ("DiffStep", "ManifestDiff")

_PATIENCE: Final = 0.1
"""Seconds without a difference after which a step ends anyway, so that progress shows and a stop is seen."""
_PAGE: Final = 1000
_size = itemgetter(1)


class DiffStep(NamedTuple):
    """The differences of one step.

    Attributes:
        files, size: files seen in the source and their bytes, the differing ones included.
        agreed: how many of them equal their rows.
        problems: what the walk could not see.
        entries: source entries of the stretch that differs, ascending.
        rows: manifest rows of that same stretch.
    """

    files: int
    size: int
    agreed: int
    problems: list[Problem]
    entries: list[SourceEntry]
    rows: list[RecordedEntry]


class ManifestDiff:
    """One walk against one manifest. All methods block: call them in a thread, one after the other.

    Args:
        batches: of the walk.
        manifest: of the pair.
        headers: the header digests of rows whose objects need no new headers; ``None`` for any.
    """

    def __init__(
        self,
        batches: Iterator[ScanBatch[SourceEntry]],
        manifest: Manifest,
        headers: tuple[str, str] | None = None,
    ) -> None:
        self._headers = headers
        self._batches = batches
        self._manifest = manifest
        self._after = ""
        self._walked = False

    def steps(self) -> Iterator[DiffStep]:
        """Yield the steps to the end of both.

        Raises:
            SourceError: the source cannot be read.
            ManifestError: the manifest cannot be read.
        """
        files = size = agreed = 0
        began = time.monotonic()
        for entries, problems in self._batches:
            files += len(entries)
            size += sum(map(_size, entries))
            same = not entries or entries == self._manifest.stats_after(
                self._after, len(entries), self._headers
            )
            if same:
                agreed += len(entries)
                rows: list[RecordedEntry] = []
            else:
                rows = self._manifest.rows_through(self._after, entries[-1].key)
            if entries:
                self._after = entries[-1].key
            if same and not problems and time.monotonic() - began < _PATIENCE:
                continue
            yield DiffStep(files, size, agreed, problems, [] if same else entries, rows)
            files = size = agreed = 0
            began = time.monotonic()
        yield DiffStep(files, size, agreed, [], [], [])
        while rows := self._manifest.rows_after(self._after, _PAGE):
            self._after = rows[-1].key
            yield DiffStep(0, 0, 0, [], [], rows)
