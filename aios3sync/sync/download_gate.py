"""DownloadGate: which transfers of a download may begin, and when; keys that cannot be files are reported."""

from __future__ import annotations

from typing import Final

from aios3sync import events
from aios3sync.core.actions import Download
from aios3sync.core.entries import Problem, ScanBatch, TargetEntry
from aios3sync.core.key_range import KeyRange
from aios3sync.core.local_names import FolderClashes
from aios3sync.core.safety import UnreadablePaths
from aios3sync.core.text import escape_undecodable
from aios3sync.listing.pages import has_keys
from aios3sync.report import Failure
from aios3sync.sync.archives import readable
from aios3sync.sync.bucket_source import BucketSource
from aios3sync.sync.run import Run

__all__ = ("DownloadGate",)

_NAMED: Final = 3
_MOST_REASONS: Final = 50


class DownloadGate:
    """The gate of one comparison.

    A key that is also a folder cannot be a file. That is known only when the following keys have been seen,
    so its transfer waits; all others begin at once.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._clashes = FolderClashes()
        self._held: list[Download] = []
        self._reasons: dict[str, list[str]] = {}
        self._skipped: dict[str, int] = {}

    def feed(self, batch: ScanBatch[TargetEntry], unreadable: UnreadablePaths) -> None:
        """Take the next batch of the source.

        Args:
            batch: its objects, and the keys that cannot be files.
            unreadable: takes the keys whose files may exist here, under a name that is equal to another one
                on this filesystem.
        """
        self._clashes.feed([entry.key for entry in batch.entries])
        for problem in batch.problems:
            if problem.kind == "same name":
                unreadable.add(problem.path)
            self._report(problem)

    def admit(self, downloads: list[Download], unreadable: UnreadablePaths) -> list[Download]:
        """Return the transfers that may begin now: some of these, and some that have waited.

        Args:
            downloads: the next ones, in key order.
            unreadable: places of the tree that cannot be read, where nothing is written.
        """
        if not downloads and not self._held:
            return downloads
        admitted: list[Download] = []
        held: list[Download] = []
        for download in (*self._held, *downloads):
            key = download.source.key
            is_folder = False if download.replaces is not None else self._clashes.is_folder(key)
            if is_folder is None:
                held.append(download)
            elif is_folder:
                self._run.outdated += 1
                self._skip(key, "is a folder as well, and no directory can hold both")
            elif unreadable and unreadable.covers(key):
                self._run.outdated += 1
                self._skip(key, "has a place in the directory that cannot be seen, or is no regular file")
            else:
                admitted.append(download)
        self._held = held
        return readable(self._run, admitted)

    async def end(self, unreadable: UnreadablePaths) -> list[Download]:
        """Return the transfers that still wait, and warn of what was skipped: there are no more keys.

        Raises:
            StoreError: the keys after the range of the run cannot be listed.
        """
        await self._look_beyond_range()
        self._clashes.end()
        admitted = self.admit([], unreadable)
        way_out = "" if self._run.options.on_bad_name == "skip" else "; --on-bad-name skip accepts that"
        for reason, names in self._reasons.items():
            number = self._skipped[reason]
            more = f" and {number - len(names)} more" if number > len(names) else ""
            which = ", ".join(map(repr, names))
            message = f"skipped {which}{more}: the key {reason}{way_out}"
            self._run.builder.warn(message)
            self._run.events(events.Warned(message))
        return admitted

    async def _look_beyond_range(self) -> None:
        """Find the keys that are folders because of keys after the range of the run.

        They are prefixes of the range's end, so they are few.
        """
        key_range = self._run.request.key_range
        for key in (download.source.key for download in self._held):
            goes_on = KeyRange(key_range.end).may_hold_below(f"{key}/")
            if key_range.end and goes_on and self._clashes.is_folder(key) is None:
                source = self._run.source
                assert isinstance(source, BucketSource)  # noqa: S101 - that of a download
                if await has_keys(await source.listed_store(), self._run.full_key(f"{key}/")):
                    self._clashes.add(key)

    def _report(self, problem: Problem) -> None:
        if problem.kind != "unreadable":
            self._skip(problem.path, problem.error)
            return
        failure = Failure(escape_undecodable(problem.path), "scan", problem.error)
        self._run.builder.find("failed", failure=failure)
        self._run.events(events.Failed(failure))

    def _skip(self, key: str, reason: str) -> None:
        self._run.builder.find("skipped")
        self._run.builder.incomplete |= self._run.options.on_bad_name != "skip"
        self._run.events(events.Skipped(escape_undecodable(key), reason))
        if reason not in self._reasons and len(self._reasons) >= _MOST_REASONS:
            reason = "has another problem of its name"
        self._skipped[reason] = self._skipped.get(reason, 0) + 1
        names = self._reasons.setdefault(reason, [])
        if len(names) < _NAMED:
            names.append(escape_undecodable(key))
