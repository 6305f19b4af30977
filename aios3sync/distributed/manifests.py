"""The manifest of a run on a cluster: a file for each shard and step, and the document that names them.

The coordinator names the files of all shards in the document before the first shard begins, and again when
all have ended; only the document is ever replaced. It names the files of a run that was interrupted too, so
the next run reads what was recorded, on any number of machines.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import orjson

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.core.key_range import KeyRange
from aios3sync.core.text import escape_json
from aios3sync.distributed.messages import ShardFile, ShardOutcome
from aios3sync.errors import ManifestError
from aios3sync.local.state import NO_STATE
from aios3sync.manifest.files import open_manifest
from aios3sync.manifest.layer_files import is_closed, temporary_layers
from aios3sync.manifest.layers import Layer, LayeredManifest
from aios3sync.manifest.lock import has_ended
from aios3sync.manifest.open_runs import OpenRun
from aios3sync.manifest.protocol import Binding, ManifestState
from aios3sync.manifest.root import (
    ATTEMPTS,
    RangeLayers,
    Root,
    begun,
    ended,
    joined_shards,
    joined_state,
    merged,
    numbered,
    renewed,
)
from aios3sync.manifest.root_directory import RootDirectory, shards_directory, single_file
from aios3sync.manifest.sharded import layers_of
from aios3sync.manifest.sqlite import SqliteManifest
from aios3sync.manifest.unfinished import join_journals
from aios3sync.report import MAX_REPORTED_ERRORS, SyncReport

__all__ = ("ClusterManifest",)

_NO_DOCUMENT: Final = "the manifest {!r}: a cluster keeps it in SQLite files; name another one"
_FORCED_DEVICE: Final = -2
"""A device that no tree has: nodes compare it with their records (P3)."""
_STEPS: Final = ("finish", "delete", "compare")
"""Steps that write, the last one first: its file is the top layer."""


@dataclass(slots=True)
class ClusterManifest:
    """The manifest of one run. All methods block.

    Attributes:
        path: of the manifest, the same as for a run on one machine; absolute.
        binding: the pair.
        run: a random name of the run.
        device: the device of the tree, as the coordinator sees it; ``None`` where there is none.
        read_only: a dry run: no file is left.
        place: the address of the files of shards, where these are objects: each node then reads and writes
            them in a directory of its own, and the directory here is a mirror
            (:mod:`aios3sync.objects.shared_shards`). Empty where every node sees the directory.
        kept: False where no manifest is wanted, although deletes have to be held somewhere.
        root: the document as the run found it.
        written: what the run made of it last, as long as no other one has replaced that.
        requests: of the nodes, for its files.
    """

    path: str
    binding: Binding
    run: str
    device: int | None = None
    read_only: bool = False
    kept: bool = True
    place: str = ""
    root: Root = field(init=False)
    written: Root = field(init=False)
    requests: Counter[str] = field(default_factory=Counter)
    _ranges: list[KeyRange] = field(default_factory=list)
    _outcomes: dict[tuple[str, int], ShardOutcome] = field(default_factory=dict)

    @property
    def directory(self) -> RootDirectory:
        """The directory of the files; every node must see it, unless they are objects."""
        return RootDirectory(shards_directory(self.path))

    def begin(self, warn: Callable[[str], None]) -> None:
        """Read the manifest; one that cannot be used is set aside, with a warning.

        Raises:
            ManifestError: there is no place for it, or it is a file of another program.
        """
        if not self.path:
            raise ManifestError(f"{NO_STATE}, or name a place with --manifest that all machines see")
        if self.path.endswith(".json"):
            raise ManifestError(_NO_DOCUMENT.format(self.path))
        nothing = Root(0, self.binding, ManifestState(), (RangeLayers("", "", ()),))
        self.root = self.written = self._open(warn) if self.kept else nothing
        try:
            os.makedirs(self.directory.path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise ManifestError(f"{self.directory.path!r} cannot be made: {error.strerror}") from error

    def _open(self, warn: Callable[[str], None]) -> Root:
        """Return the document, or one for what there is; what is damaged or of another pair is set aside."""
        if not self.read_only and os.path.isfile(self.path) and not is_closed(self.path):
            with suppress(ValueError):  # it is damaged: then it is set aside
                SqliteManifest.open(self.path).close_now()
        manifest = open_manifest(self.path, self.binding, warn, read_only=True, sets_aside=not self.read_only)
        if not isinstance(manifest, SqliteManifest):
            raise ManifestError(_NO_DOCUMENT.format(self.path))
        try:
            state = manifest.state_now()
            there = bool(manifest.place) and manifest.has_more_rows(0)
        finally:
            manifest.close_now()
        root = self.directory.read()
        if root is None:
            layers = (single_file(self.directory.path),) if there else ()
            return Root(0, self.binding, state, (RangeLayers("", "", layers),))
        if not self.read_only:
            layers_of(self.directory, root.shards)  # a file that a run did not close is copied
        return root

    def known(self) -> LayeredManifest:
        """Open all recorded rows for reading; the caller closes them."""
        layers = layers_of(self.directory, self.root.shards, read_only=True)
        return temporary_layers(self.directory.path, self.binding, self.root.state, layers)

    @property
    def may_be_swapped(self) -> bool:
        """Whether the tree is on another device than before, as the coordinator sees it (P3)."""
        before = self.root.state.device
        return self.device is not None and before not in (-1, self.device)

    def lay_out(self, ranges: Sequence[KeyRange]) -> None:
        """Give each range its files, and name them in the document.

        Raises:
            ManifestError: the document cannot be written.
        """
        self._ranges = list(ranges)
        if self.read_only or not self.kept:
            return
        shards = tuple(
            part._replace(layers=(*(self._attempts(step, number) for step in _STEPS), *part.layers))
            for number, one in enumerate(ranges)
            for part in self.root.part(*one)
        )
        found = replace(self.root, binding=self.binding, shards=shards)
        self._replace(begun(found, self._this_run(), has_ended))

    def renew(self) -> None:
        """Say in the document that the run goes on; else another one takes it for dead after a day.

        Raises:
            ManifestError: the document cannot be written.
        """
        if self.read_only or not self.kept:
            return
        run, follows = self._this_run(), False

        def change(root: Root | None) -> Root | None:
            nonlocal follows
            follows = root is not None and root.is_of(self.written)
            return None if root is None else renewed(root, run)

        root = self.directory.update(change)
        if root is not None and follows:
            self.written = root

    def _this_run(self) -> OpenRun:
        """Return the run as it is now; its nodes may be at work when this process has ended."""
        return OpenRun(self.run, time.time())

    def range_of(self, number: int) -> KeyRange:
        """Return the range of a shard."""
        return self._ranges[number]

    def file(self, step: str, number: int) -> ShardFile:
        """Return the file that a step of a shard writes, with all current layers below it."""
        first, end = self._ranges[number]
        below = layers_of(self.directory, self.root.part(first, end), read_only=True)
        layers = [*self._written(number), *below]
        if any(outcome.whole for outcome in self._of(number)):
            layers = self._written(number)
        if self.place:
            layers = [layer._replace(path=os.path.basename(layer.path)) for layer in layers]
        return ShardFile(
            directory=self.place or self.directory.path,
            name=self._name(step, number),
            binding=self.binding,
            state=self._state_for(step, number),
            layers=tuple(layers),
            first=first,
            end=end,
        )

    def _state_for(self, step: str, number: int) -> ManifestState:
        """Return the state that a step begins with; each machine numbers its devices itself."""
        before = next((outcome.state for outcome in self._of(number)), self.root.state)
        forced = step == "survey" and self.may_be_swapped
        return replace(before, device=_FORCED_DEVICE if forced else -1)

    def _of(self, number: int) -> list[ShardOutcome]:
        """Return the outcomes of the steps of a shard, the last one first."""
        return [self._outcomes[step, number] for step in _STEPS if (step, number) in self._outcomes]

    def _written(self, number: int) -> list[Layer]:
        return [Layer(outcome.path) for outcome in self._of(number) if outcome.written]

    def take(self, step: str, outcome: ShardOutcome) -> ShardOutcome:
        """Note the outcome of a step; return the part of it that is not kept here."""
        self.requests.update(outcome.requests)
        if outcome.held_content:
            with open(self._held_path(outcome.held), "wb") as file:
                file.write(outcome.held_content)
            outcome = replace(outcome, held_content=b"")
        if outcome.path and step in _STEPS:
            self._outcomes[step, outcome.number] = outcome
        return outcome

    def held_content(self, name: str) -> bytes:
        """Return the held deletes that :meth:`take` was given, of files that no node reads; else empty."""
        path = self._held_path(name)
        if not (name and self.place and os.path.exists(path)):
            return b""
        with open(path, "rb") as file:
            return file.read()

    def _held_path(self, name: str) -> str:
        return os.path.join(self.directory.path, f"{name}.packed")

    def conclude(self, known: tuple[str, float] | None) -> None:
        """Name the written files in the document, and remove those that are no longer needed.

        Args:
            known: the scope of the run, and since when all its rows are what the bucket holds; ``None`` where
                they may differ: the next run has to list.

        Raises:
            ManifestError: the document cannot be written. Recorded rows are found nevertheless.
        """
        if self.read_only or not self.kept:
            self.directory.drop(self._files())
            return
        join_journals(self.path)
        numbers = range(len(self._ranges))
        shards = [part for number in numbers for part in self._concluded(number)]
        states = [outcomes[0].state for number in numbers if (outcomes := self._of(number))]
        state = joined_state(states, self.root.state)
        # Shards that did not end have rows of this run as well.
        state = replace(state, run=max(state.run, numbered(self.root.state).run))
        whole = known is not None and len(states) == len(numbers)
        state = state.listed(*known) if whole and known is not None else state.begun()
        if self.device is not None:
            state = replace(state, device=self.device)
        self._replace(ended(replace(self.written, shards=joined_shards(shards)), self.run, state))
        self.directory.drop(self.directory.unnamed())
        self.directory.drop(file for file in self._files() if not file.endswith(".sqlite"))

    def join_errors(self, reports: Sequence[SyncReport]) -> str | None:
        """Write the failures of all reports into one file, if one report cannot hold them; return its path.

        Raises:
            OSError: it cannot be written.
        """
        if sum(len(report.errors) for report in reports) <= MAX_REPORTED_ERRORS and not any(
            report.errors_file for report in reports
        ):
            return None
        directory, name = os.path.split(self.path)
        if self.place:  # the mirror is removed with the run
            directory = tempfile.gettempdir()
        descriptor, path = tempfile.mkstemp(prefix=f"{name}.errors-", suffix=".jsonl", dir=directory)
        with open(descriptor, "wb") as joined:
            for report in reports:
                if report.errors_file and os.path.exists(report.errors_file):
                    with open(report.errors_file, "rb") as own:
                        shutil.copyfileobj(own, joined)
                else:
                    lines = (escape_json(orjson.dumps(failure)) + b"\n" for failure in report.errors)
                    joined.writelines(lines)
        return path

    def _concluded(self, number: int) -> list[RangeLayers]:
        """Return a shard with its written files; for steps that did not end, with those of their attempts."""
        names = [os.path.basename(layer.path) for layer in self._written(number)]
        if ("compare", number) not in self._outcomes:
            names += [self._attempts("compare", number)]
        if any(outcome.whole for outcome in self._of(number)):
            return [RangeLayers(*self._ranges[number], tuple(names))]
        parts = self.root.part(*self._ranges[number])
        return [part._replace(layers=(*names, *part.layers)) for part in parts]

    def _replace(self, ours: Root) -> None:
        """Replace the document that the run has found, or written last.

        What another run has made of it meanwhile is merged. Where it was removed, the next run has to list.
        """
        follows = True

        def change(root: Root | None) -> Root:
            nonlocal follows
            follows = root is None or root.is_of(self.written)
            if root is None:
                return replace(ours, state=ours.state.begun())
            return ours if follows else merged(self.written, ours, root)

        root = self.directory.update(change)
        self.written = root if root is not None and follows else replace(ours, history=())

    def _name(self, step: str, number: int) -> str:
        return f"{self.run}-{number}-{step}"

    def _attempts(self, step: str, number: int) -> str:
        return self._name(step, number) + ATTEMPTS

    def leave(self) -> None:
        """Remove the directory if it is empty: a dry run leaves none."""
        with suppress(OSError):
            os.rmdir(self.directory.path)

    def _files(self) -> list[str]:
        """Return the names of all files of the run."""
        try:
            return [file for file in os.listdir(self.directory.path) if file.startswith(f"{self.run}-")]
        except OSError:
            return []
