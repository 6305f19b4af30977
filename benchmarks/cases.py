"""The table of cases; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.conditions import Scope
from benchmarks.trees import TreePlan

__all__ = ("CASES", "Case", "Verb", "scaled", "select_cases")

Verb = Literal["fresh", "unchanged", "walk", "changed", "delete", "list", "down", "down-unchanged", "copy"]

_KIB, _MIB, _GIB = 1024, 1024**2, 1024**3


@dataclass(frozen=True, slots=True)
class Case:
    """One table of the results.

    Attributes:
        name: for ``--only``.
        title: for the report.
        verb: the operation that is measured; a contender without a command for it does not take part.
        tree: the source, or what is in the bucket before a download or a copy.
        objects: how many objects of 100 bytes are in the bucket before a ``delete`` or a ``list``.
        changed: how many files are rewritten before each round.
        memory: bytes of free memory that the case needs, source, endpoint and what is written together.
        on_request: runs only if it is named.
        scope: the conditions that it is measured in.
    """

    name: str
    title: str
    verb: Verb
    tree: TreePlan
    objects: int = 0
    changed: int = 0
    memory: int = _GIB
    on_request: bool = False
    scope: Scope = "plain"

    @property
    def items(self) -> int:
        """How many files or objects a run handles."""
        return self.objects or self.tree.count

    @property
    def full_items(self) -> int:
        """How many there are in the case of full size, which decides who takes part."""
        return next((case.items for case in CASES if case.name == self.name), self.items)


_NOTHING = TreePlan("small", 0)
_MIXED = TreePlan("mixed", 271)
_SMALL_1K, _SMALL_10K, _SMALL_30K = (TreePlan("small", count, 4 * _KIB) for count in (1000, 10_000, 30_000))
_LARGE = TreePlan("large", 4, _GIB)


def _unchanged(name: str, tree: TreePlan) -> Case:
    return Case(name, "No change in {items:,} files", "unchanged", tree, memory=3 * _GIB, scope="all")


# In the order in which they run: a case that costs little leaves its share of a budget to the next ones.
CASES = (
    Case("fresh-271", "Fresh sync of {items:,} images and captions", "fresh", _MIXED, scope="all"),
    Case("fresh-1k", "Fresh sync of {items:,} x 4 KiB", "fresh", _SMALL_1K, scope="all"),
    _unchanged("unchanged-271", _MIXED),
    _unchanged("unchanged-1k", _SMALL_1K),
    Case(
        "changed-1k", "{changed:,} of {items:,} files changed", "changed", _SMALL_1K, changed=1, scope="all"
    ),
    _unchanged("unchanged-10k", _SMALL_10K),
    Case(
        "changed-10k",
        "{changed:,} of {items:,} files changed",
        "changed",
        _SMALL_10K,
        changed=1000,
        memory=3 * _GIB,
        scope="all",
    ),
    Case(
        "fresh-512m",
        "Fresh sync of {items:,} x {size}",
        "fresh",
        TreePlan("large", 1, 512 * _MIB),
        memory=3 * _GIB,
        scope="all",
    ),
    Case("fresh-10k", "Fresh sync of {items:,} x 4 KiB", "fresh", _SMALL_10K, on_request=True),
    _unchanged("unchanged-30k", _SMALL_30K),
    Case(
        "down-unchanged-30k",
        "No change in {items:,} objects, download",
        "down-unchanged",
        _SMALL_30K,
        memory=4 * _GIB,
        scope="http",
    ),
    Case("fresh-30k", "Fresh sync of {items:,} x 4 KiB", "fresh", _SMALL_30K, memory=3 * _GIB, scope="all"),
    Case("fresh-4g", "Fresh sync of {items:,} x {size}", "fresh", _LARGE, memory=14 * _GIB, scope="all"),
    Case("down-30k", "Download of {items:,} x 4 KiB", "down", _SMALL_30K, memory=3 * _GIB, scope="http"),
    Case("down-4g", "Download of {items:,} x {size}", "down", _LARGE, memory=14 * _GIB, scope="http"),
    Case(
        "copy-30k",
        "Copy of {items:,} objects in the bucket",
        "copy",
        _SMALL_30K,
        memory=6 * _GIB,
        scope="http",
    ),
    Case("delete", "Delete of all {items:,} objects", "delete", _NOTHING, 100_000, memory=2 * _GIB),
    Case("list", "Listing of {items:,} objects", "list", _NOTHING, 100_000, memory=2 * _GIB),
    Case(
        "list-1m",
        "Listing of {items:,} objects",
        "list",
        _NOTHING,
        1_000_000,
        memory=4 * _GIB,
        on_request=True,
    ),
    Case(
        "million",
        "No change in {items:,} empty files, against a mere walk",
        "walk",
        TreePlan("empty", 1_000_000),
        memory=4 * _GIB,
        on_request=True,
    ),
)


def select_cases(names: Sequence[str], scale: float = 1.0) -> list[Case]:
    """Return the named cases (without names all but those on request) in the order of the table.

    Raises:
        ValueError: a name is not in the table.
    """
    known = {case.name for case in CASES}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no such case: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [scaled(case, scale) for case in CASES if case.name in names or not (names or case.on_request)]


def scaled(case: Case, scale: float) -> Case:
    """Return the case with fewer files and objects; large files are as many, but smaller."""
    tree = case.tree
    if tree.kind == "large":
        smaller = TreePlan(tree.kind, tree.count, max(1, round(tree.size * scale)))
    else:
        smaller = TreePlan(tree.kind, _share(tree.count, scale), tree.size)
    objects = _share(case.objects, scale)
    changed = min(smaller.count, max(1, round(case.changed * scale))) if case.changed else 0
    return replace(
        case,
        title=case.title.format(items=objects or smaller.count, changed=changed, size=_size(smaller.size)),
        tree=smaller,
        objects=objects,
        changed=changed,
        memory=round(case.memory * min(scale, 1.0)),
    )


def _size(count: int) -> str:
    return f"{count / _GIB:.0f} GiB" if count >= _GIB else f"{count / _MIB:.0f} MiB"


def _share(count: int, scale: float) -> int:
    return max(4, round(count * scale)) if count else 0
