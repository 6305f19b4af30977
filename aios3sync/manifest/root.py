"""The root document of a manifest of several files: says which file holds which keys. Pure.

A layer name that ends in ``.*`` belongs to a run that had not ended when the document was written: the layer
is the latest of the files ``NAME.<attempt>.sqlite`` in the directory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from aios3sync._dataclass import asdict, dataclass, replace
from aios3sync._namedtuple import NamedTuple
from aios3sync.manifest.open_runs import OpenRun, merged_runs, with_begun, with_renewed
from aios3sync.manifest.protocol import Binding, ManifestState

__all__ = (
    "ATTEMPTS",
    "RangeLayers",
    "Root",
    "attempt_of",
    "begun",
    "ended",
    "joined_shards",
    "joined_state",
    "merged",
    "numbered",
    "renewed",
)

ATTEMPTS: Final = ".*"
"""Suffix of the name of a layer that its run had not finished."""
_FORMAT: Final = 1
_ATTEMPT: Final = re.compile(r"(.+)\.(\d{1,9})\.sqlite")


class RangeLayers(NamedTuple):
    """A range of keys and the names of its files, the newest first.

    Attributes:
        first: the least key.
        end: exclusive; empty for no end.
        layers: names in the directory, or relative to it.
    """

    first: str
    end: str
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Root:
    """The content of the document.

    Attributes:
        generation: how often it was replaced.
        binding: the pair.
        state: of the manifest as a whole.
        shards: in key order; together they cover all keys, each once.
        history: random names of this document and of those that it was made from, the latest first.
        open_runs: those that have begun and not ended; see :mod:`.open_runs`.
    """

    generation: int
    binding: Binding
    state: ManifestState
    shards: tuple[RangeLayers, ...]
    history: tuple[str, ...] = ()
    open_runs: tuple[OpenRun, ...] = ()

    def encoded(self) -> bytes:
        """Return the document as bytes."""
        value = {"format": _FORMAT, **asdict(self)}
        return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()

    @classmethod
    def decoded(cls, document: bytes) -> Root:
        """Read a document.

        Raises:
            ValueError: it is no such document, or of a newer version.
        """
        try:
            value: Mapping[str, Any] = json.loads(document)
            if value["format"] != _FORMAT:
                raise ValueError(f"it has format {value['format']}, this package reads {_FORMAT}")
            shards = tuple(RangeLayers(first, end, tuple(layers)) for first, end, layers in value["shards"])
            root = cls(
                int(value["generation"]),
                Binding(**value["binding"]),
                ManifestState.of(value["state"]),
                shards,
                tuple(value["history"]),
                tuple(map(OpenRun.of, value.get("open_runs", ()))),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is no root document: {error}") from error
        edges = ["", *(shard.end for shard in shards)]
        if not shards or edges[-1] or [shard.first for shard in shards] != edges[:-1]:
            raise ValueError("its ranges do not cover all keys once")
        return root

    def names(self) -> set[str]:
        """Return the names of all layers."""
        return {name for shard in self.shards for name in shard.layers}

    def is_of(self, other: Root) -> bool:
        """Whether it is the same document of a directory, not replaced since it was read."""
        return self.history[:1] == other.history[:1]

    def part(self, first: str, end: str) -> tuple[RangeLayers, ...]:
        """Return the shards of a range, cut at its beginning and end.

        Nothing is read or written: a file that is named for several ranges counts in each for that range
        alone. Rows that a file hides in one range must not reappear from older files of another range, so
        ranges with different files are never joined.
        """
        return tuple(
            shard._replace(first=max(shard.first, first), end=min(filter(None, (shard.end, end)), default=""))
            for shard in self.shards
            if (not shard.end or first < shard.end) and (not end or shard.first < end)
        )


def attempt_of(file: str) -> tuple[str, int] | None:
    """Return the layer of which a file is an attempt, and the number of the attempt; ``None`` for others."""
    found = _ATTEMPT.fullmatch(file)
    return None if found is None else (found[1], int(found[2]))


def numbered(state: ManifestState) -> ManifestState:
    """Return the state of a document while a run writes: incomplete, with the number of that run.

    So a later run gets another number: it takes rows with its number as its own.
    """
    return replace(state.begun(), run=state.run + 1)


def begun(root: Root, run: OpenRun, is_gone: Callable[[str], bool]) -> Root:
    """Return the document while a run writes.

    Args:
        root: that it has found.
        run: that begins, now.
        is_gone: returns whether a process is known to have ended.
    """
    return replace(root, state=numbered(root.state), open_runs=with_begun(root.open_runs, run, is_gone))


def renewed(root: Root, run: OpenRun) -> Root:
    """Return the document after a sign of life of a run that goes on."""
    return replace(root, state=root.state.begun(), open_runs=with_renewed(root.open_runs, run))


def ended(root: Root, name: str, state: ManifestState) -> Root:
    """Return the document after a run has ended.

    Args:
        root: that it replaces.
        name: of the run.
        state: that it leaves. Unless the run was alone all the time, the next one has to list all the same.
    """
    alone = any(one.name == name and one.alone for one in root.open_runs)
    others = tuple(one for one in root.open_runs if one.name != name)
    return replace(root, state=state if alone and not others else state.begun(), open_runs=others)


def joined_shards(shards: Iterable[RangeLayers]) -> tuple[RangeLayers, ...]:
    """Return the shards with neighbours of the same files joined."""
    joined: list[RangeLayers] = []
    for shard in shards:
        if joined and joined[-1].layers == shard.layers:
            joined[-1] = joined[-1]._replace(end=shard.end)
        else:
            joined.append(shard)
    return tuple(joined)


def merged(base: Root, ours: Root, theirs: Root) -> Root:
    """Return the merged document of two runs that began with the same one, without knowing of each other.

    It names every file that one of them has added, and those files of ``base`` that both still name. Where
    both have a row, it is unknown which is the later one, so the next run has to list.

    Args:
        base: the document with which both began.
        ours: the result of one run.
        theirs: the result of the other; the new generation follows its generation.
    """
    edges = sorted({shard.first for root in (base, ours, theirs) for shard in root.shards})
    ranges = zip(edges, [*edges[1:], ""], strict=True)
    shards = (
        RangeLayers(first, end, _merged_layers(*(_layers(root, first, end) for root in (base, ours, theirs))))
        for first, end in ranges
    )
    receipts = tuple(sorted({*ours.state.receipts, *theirs.state.receipts}))
    state = replace(joined_state([ours.state, theirs.state], ours.state), receipts=receipts).begun()
    runs = merged_runs(base.open_runs, ours.open_runs, theirs.open_runs)
    return replace(theirs, state=state, shards=joined_shards(shards), open_runs=runs)


def _layers(root: Root, first: str, end: str) -> tuple[str, ...]:
    """Return the files of a range within which no shard ends."""
    (shard,) = root.part(first, end)
    return shard.layers


def _merged_layers(base: tuple[str, ...], ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
    """Return all new files, above those that both have kept.

    A run that has dropped files has copied their rows: its file goes below that of the other run.
    """
    kept = [name for name in base if name in ours and name in theirs]
    new_ours, new_theirs = ([name for name in names if name not in base] for names in (ours, theirs))
    is_copy = any(name not in theirs for name in base)
    new = [*new_ours, *new_theirs] if is_copy else [*new_theirs, *new_ours]
    return tuple(dict.fromkeys([*new, *kept]))


def joined_state(states: Sequence[ManifestState], before: ManifestState) -> ManifestState:
    """Return the state of a manifest from those of its parts; the caller sets what its rows rely on.

    Args:
        states: of the ranges, as their runs saved them.
        before: of the whole manifest, whose device stays: each machine numbers its devices itself.
    """
    if not states:
        return before
    orders = {state.order for state in states} - {""}
    return replace(
        before,
        last_sync=max(state.last_sync for state in states),
        run=max(state.run for state in states),
        mounts=tuple(sorted({*before.mounts, *(mount for state in states for mount in state.mounts)})),
        order="unordered" if "unordered" in orders else next(iter(orders), before.order),
        opaque_etags=any(state.opaque_etags for state in states),
    )
