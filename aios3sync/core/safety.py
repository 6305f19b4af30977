"""Guards of deleting: what is never deleted, and when nothing is deleted at all. Pure."""

from __future__ import annotations

from math import ceil

from aios3sync._dataclass import dataclass, field
from aios3sync._lazy import lazy_pattern
from aios3sync._typing import Final
from aios3sync.core.lookalikes import UndecodableNames
from aios3sync.core.text import count, escape_undecodable

__all__ = (
    "CATALOG_NAMES",
    "DEFAULT_DELETE_RATIO",
    "IF_MEANT",
    "RATIO_APPLIES_ABOVE",
    "DeleteLimits",
    "PlanFacts",
    "Protection",
    "Refusal",
    "Unfinished",
    "UnreadablePaths",
    "check_deletes",
    "looks_swapped",
    "swapped",
    "waits_for",
)

CATALOG_NAMES: Final = frozenset(
    {
        "private_datasets_index.json",
        "private_models_index.json",
        "public_datasets.json",
        "public_models.json",
    }
)
DEFAULT_DELETE_RATIO: Final = 0.5
RATIO_APPLIES_ABOVE: Final = 100
"""The default ratio refuses only once more deletes than this are planned."""
IF_MEANT: Final = "if that is meant, say "
"""Comes before the option that lets a refused run delete."""

_INTERNAL = lazy_pattern(r"(?:^|/)\.(?:deltaglider|aios3sync)/")
_THUMBNAIL = lazy_pattern(r"(?s)(?:^|/)\.thumbnails/\d+/.+\.webp")


@dataclass(frozen=True, slots=True)
class Protection:
    """The objects that no sync deletes, because another tool or another part of this one owns them.

    Attributes:
        enabled: False with ``delete_protected``.
        prefixes: further prefixes of keys, such as those of thumbnails.
    """

    enabled: bool = True
    prefixes: tuple[str, ...] = ()

    def covers(self, key: str, size: int, *, tracked: bool) -> bool:
        """Return whether the object must stay; ``tracked`` means that we uploaded it."""
        if not self.enabled:
            return False
        name = key.rpartition("/")[2]
        # This is once for every delete. A search for a text takes a tenth of the time of one by a pattern.
        if "/." in key or key[:1] == "." or ".json" in name:
            # A corrupt catalog is kept under NAME.corrupt-TIME.
            if name.partition(".corrupt-")[0] in CATALOG_NAMES or _INTERNAL.search(key):
                return True
            if not tracked and _THUMBNAIL.search(key):
                return True
        if self.prefixes and key.startswith(self.prefixes):
            return True
        if not name and size == 0:  # a "directory" made by a console or another tool
            return True
        if tracked:
            return False
        return name == "reference.bin" or name.endswith(".delta")


@dataclass(slots=True)
class UnreadablePaths:
    """Paths of the source that could not be read: nothing at or below them may be deleted (P2).

    Attributes:
        paths: of these places.
        undecodable: paths among them that are not UTF-8, and so are no keys.
        unexplained: those that are there and cannot be read, and of which no key is known so far. A file that
            was moved to such a place has its only copy under its old key.
        explained: those of which a key has become known.
    """

    paths: set[str] = field(default_factory=set)
    undecodable: UndecodableNames = field(default_factory=UndecodableNames)
    unexplained: set[str] = field(default_factory=set)
    explained: set[str] = field(default_factory=set)

    def add(self, path: str, *, unreadable: bool = False) -> None:
        """Add the path of a file or directory that could not be seen."""
        path = path.rstrip("/")
        if unreadable:
            self.unexplained.add(path)
        if escape_undecodable(path) == path:
            self.paths.add(path)
        else:
            self.undecodable.add(path)

    def __bool__(self) -> bool:
        """Return whether there is any such path."""
        return bool(self.paths or self.undecodable)

    def covers(self, key: str) -> bool:
        """Return whether the key is at or below such a path."""
        if self.paths:
            place = len(key)
            while place > 0:
                if key[:place] in self.paths:
                    self._explain(key[:place])
                    return True
                place = key.rfind("/", 0, place)
            if "" in self.paths:
                self._explain("")
                return True
        return self.undecodable.covers(key)

    def _explain(self, path: str) -> None:
        if path in self.unexplained:
            self.unexplained.discard(path)
            self.explained.add(path)


@dataclass(frozen=True, slots=True)
class DeleteLimits:
    """How much the caller allows to be deleted; ``None`` means the default."""

    count: int | None = None
    ratio: float | None = None
    allow_empty_source: bool = False


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The facts of a finished plan, before anything is deleted.

    Attributes:
        deletes: planned deletes.
        source_files: files seen in the source.
        target_objects: visible objects of the target (filters applied).
        source_complete: the walk ended cleanly, unreadable places known and left out.
        target_complete: the listing ended cleanly.
        entries: the word for what is deleted.
        renamed: of the deletes, objects that were copied to the new names of their files: they do not count
            against the limits.
    """

    deletes: int
    source_files: int
    target_objects: int
    source_complete: bool
    target_complete: bool
    entries: str = "objects"
    renamed: int = 0


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What of a run did not succeed, so that its deletes wait (P5).

    Attributes:
        given_up: why no more transfers were tried; empty where all were.
        failed_transfers: what could not be compared, sent, fetched or copied.
        failed_reads: files that could not be read.
        places: paths that are there and cannot be read, and of which no key is known.
        refused: actions of a plan that are not due any more as they were planned.
        transfers: the word for several transfers.
    """

    given_up: str = ""
    failed_transfers: int = 0
    failed_reads: int = 0
    places: frozenset[str] = frozenset()
    refused: int = 0
    transfers: str = "uploads"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a plan's deletes are refused: which guard, how many deletes, and the way out."""

    guard: str
    count: int
    message: str


def check_deletes(facts: PlanFacts, limits: DeleteLimits) -> Refusal | None:
    """Return the refusal of the first guard that objects to the deletes of a plan, or ``None``.

    Incomplete knowledge cannot be overridden (P1); an empty source only by ``allow_empty_source`` (P3).
    """
    deletes = facts.deletes
    if deletes == 0:
        return None
    if not (facts.source_complete and facts.target_complete):
        side = "the target's listing" if facts.source_complete else "the walk of the source"
        return Refusal("incomplete", deletes, f"{side} did not end cleanly; nothing is deleted")
    if facts.source_files == 0 and not limits.allow_empty_source:
        lost = count(deletes, facts.entries.removesuffix("s"))
        return Refusal(
            "empty-source",
            deletes,
            f"the source is empty and {lost} would be deleted; {IF_MEANT}--allow-empty-source",
        )
    return _check_limits(facts, limits)


def _check_limits(facts: PlanFacts, limits: DeleteLimits) -> Refusal | None:
    deletes = facts.deletes - facts.renamed
    if deletes <= 0:
        return None
    planned = f"{count(deletes, 'delete is', 'deletes are')} planned"
    if limits.count is not None and deletes > limits.count:
        text = f"{planned}, --max-delete allows {limits.count:,}; {IF_MEANT}--max-delete {deletes}"
        return Refusal("max-delete", deletes, text)
    share = deletes / max(facts.target_objects, 1)
    ratio = DEFAULT_DELETE_RATIO if limits.ratio is None else limits.ratio
    applies = limits.ratio is not None or deletes > RATIO_APPLIES_ABOVE
    emptied_on_purpose = facts.source_files == 0 and limits.ratio is None
    if applies and share > ratio and not emptied_on_purpose:
        present = count(facts.target_objects, facts.entries.removesuffix("s"))
        return Refusal(
            "max-delete-ratio",
            deletes,
            f"{planned}, {share:.0%} of {present}; --max-delete-ratio allows {ratio:.0%}; "
            f"{IF_MEANT}--max-delete-ratio {ceil(share * 100) / 100:g}",
        )
    return None


def waits_for(unfinished: Unfinished, *, despite_errors: bool) -> str:
    """Return the failures for which nothing is deleted (P5); empty where deletes may begin.

    Args:
        unfinished: of the run.
        despite_errors: the caller deletes although something failed; not where transfers were given up.
    """
    if unfinished.given_up:
        return f"the {unfinished.transfers} were given up: {unfinished.given_up}"
    places = sorted(unfinished.places)
    reasons = []
    transfer = "copy" if unfinished.transfers == "copies" else unfinished.transfers.removesuffix("s")
    if unfinished.failed_transfers:
        reasons.append(f"{count(unfinished.failed_transfers, transfer, unfinished.transfers)} failed")
    if unfinished.failed_reads:
        reasons.append(f"{count(unfinished.failed_reads, 'file')} could not be read")
    if unfinished.refused:
        reasons.append(f"{count(unfinished.refused, 'action')} of the plan refused")
    if places:
        reasons.append(
            f"{count(len(places), 'place')} of which nothing is known yet, unreadable or without a key, "
            f"the first of them {escape_undecodable(places[0])!r} (--exclude hides it)"
        )
    if not reasons or despite_errors:
        return ""
    return f"{', '.join(reasons)}; --delete-despite-errors deletes all the same"


def looks_swapped(recorded: int, found: int) -> bool:
    """Return whether another tree seems to be in the place of the source.

    Args:
        recorded: files in the manifest.
        found: how many of them are there with their recorded size.
    """
    return recorded > 0 and found * 2 < recorded


def swapped(recorded: int, found: int, *, uploads: bool) -> Refusal | None:
    """Return the refusal of a run whose tree seems to be another one than before (P3), else ``None``.

    Args:
        recorded: files in the manifest.
        found: how many of them are there with their recorded size.
        uploads: the tree is the source.
    """
    if not looks_swapped(recorded, found):
        return None
    text = (
        f"the {'source' if uploads else 'target'} is on another device than before and holds {found} "
        f"of {recorded} recorded files: another tree seems to have replaced it; nothing was "
        f"{'sent' if uploads else 'fetched or deleted'}. If that is meant: "
        "'aios3sync manifest forget SOURCE TARGET'"
    )
    return Refusal("swapped-source" if uploads else "swapped-target", recorded, text)
