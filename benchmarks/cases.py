"""The table of cases and the order of runs; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.trees import TreePlan

__all__ = ("CASES", "Case", "Verb", "rounds", "scaled", "select_cases")

Verb = Literal["fresh", "unchanged", "walk", "changed", "delete", "list"]

_KIB, _GIB = 1024, 1024**3


@dataclass(frozen=True, slots=True)
class Case:
    """One table of the results.

    Attributes:
        name: for ``--cases``.
        title: for the report.
        verb: the operation that is measured; a contender without a command for it does not take part.
        tree: the source.
        objects: how many objects of 100 bytes are in the bucket before a ``delete`` or a ``list``.
        memory: bytes of free memory that the case needs, source and endpoint together.
        on_request: runs only if it is named: it needs an endpoint that can hold a million objects.
    """

    name: str
    title: str
    verb: Verb
    tree: TreePlan
    objects: int = 0
    memory: int = _GIB
    on_request: bool = False

    @property
    def items(self) -> int:
        """How many files or objects a run handles."""
        return self.objects or self.tree.count


_NOTHING = TreePlan("small", 0)

_SMALL_10K = TreePlan("small", 10_000, 4 * _KIB)
_SMALL_30K = TreePlan("small", 30_000, 4 * _KIB)

CASES = (
    Case("fresh-10k", "Fresh sync of {items:,} x 4 KiB", "fresh", _SMALL_10K),
    Case("fresh-30k", "Fresh sync of {items:,} x 4 KiB", "fresh", _SMALL_30K),
    Case("start", "No change in {items:,} files", "unchanged", TreePlan("small", 1000, 4 * _KIB)),
    Case("unchanged", "No change in {items:,} files", "unchanged", _SMALL_30K, memory=4 * _GIB),
    Case(
        "million",
        "No change in {items:,} empty files, against a mere walk",
        "walk",
        TreePlan("empty", 1_000_000),
        memory=4 * _GIB,
        on_request=True,
    ),
    Case("changed", "A tenth of {items:,} files changed", "changed", _SMALL_10K, memory=3 * _GIB),
    Case("mixed", "Fresh sync of {items:,} images and captions", "fresh", TreePlan("mixed", 271)),
    Case("large", "Fresh sync of {items:,} x 1 GiB", "fresh", TreePlan("large", 4, _GIB), memory=14 * _GIB),
    Case("delete", "Delete of all {items:,} objects", "delete", _NOTHING, 100_000, 2 * _GIB),
    Case("list", "Listing of {items:,} objects", "list", _NOTHING, 100_000, 2 * _GIB),
    Case("list-1m", "Listing of {items:,} objects", "list", _NOTHING, 1_000_000, 4 * _GIB, on_request=True),
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
    title = case.title.format(items=objects or smaller.count)
    if scale != 1.0 and tree.kind == "large":
        title = title.replace("1 GiB", f"{smaller.size / 1024**2:.0f} MiB")
    memory = round(case.memory * min(scale, 1.0))
    return Case(case.name, title, case.verb, smaller, objects, memory, case.on_request)


def _share(count: int, scale: float) -> int:
    return max(4, round(count * scale)) if count else 0


def rounds(names: Sequence[str], count: int) -> Iterator[tuple[int, list[str]]]:
    """Yield interleaved rounds: each contender once a round, each round beginning with another one.

    Other load of the machine then affects all alike, and no contender always follows the same one.
    """
    for number in range(count):
        start = number % len(names) if names else 0
        yield number, [*names[start:], *names[:start]]
