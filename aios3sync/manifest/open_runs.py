"""The open runs in a root document, so that no run marks it complete too early. Pure.

Invariants:

* A run is named before it changes a side, and the document is incomplete from then on.
* Only the end of a run that was alone all the time makes the document complete again. A run that begins while
  another one is open is not alone, and neither is the other from then on: each changes what the other has
  seen, and a killed run reports nothing. So as long as any run is open, and after overlapping runs, the next
  one lists.
* A run that dies stays open. The next run drops it if its process is known to be gone, or after
  :data:`SILENT_S` without a sign of life: the dead run cannot have made the document complete, so the next
  one lists, and is alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from aios3sync._namedtuple import NamedTuple

__all__ = ("RENEWED_S", "SILENT_S", "OpenRun", "merged_runs", "with_begun", "with_renewed")

SILENT_S: Final = 24 * 3600.0
"""Seconds without a sign of life after which a run is taken for dead."""
RENEWED_S: Final = 3600.0
"""Seconds after which a run that goes on gives a sign of life."""


class OpenRun(NamedTuple):
    """A run that has begun and not ended.

    Attributes:
        name: random.
        seen: its last sign of life, seconds since the epoch.
        process: that does all of its work, see :func:`~aios3sync.manifest.lock.this_process`; empty if other
            processes may work for it after that one has ended.
        alone: whether no other run was open since it began.
    """

    name: str
    seen: float
    process: str = ""
    alone: bool = True

    @classmethod
    def of(cls, value: Sequence[Any]) -> OpenRun:
        """Return a run from its form in a document.

        Raises:
            TypeError, ValueError: it is none.
        """
        name, seen, process, alone = value
        if not (isinstance(name, str) and isinstance(process, str) and isinstance(alone, bool)):
            raise TypeError(f"{value!r} is no run")
        return cls(name, float(seen), process, alone)

    def is_dead(self, now: float, is_gone: Callable[[str], bool]) -> bool:
        """Whether the run can no longer change anything.

        Args:
            now: seconds since the epoch; a clock that is a day off proves nothing.
            is_gone: returns whether a process is known to have ended.
        """
        return abs(now - self.seen) > SILENT_S or bool(self.process and is_gone(self.process))


def with_begun(runs: Sequence[OpenRun], run: OpenRun, is_gone: Callable[[str], bool]) -> tuple[OpenRun, ...]:
    """Return the open runs with one that begins now; dead runs are dropped."""
    others = [one._replace(alone=False) for one in runs if not one.is_dead(run.seen, is_gone)]
    return (*others, run._replace(alone=not others))


def with_renewed(runs: Sequence[OpenRun], run: OpenRun) -> tuple[OpenRun, ...]:
    """Return the open runs after a sign of life of one, which may have been dropped as dead."""
    if run.name not in {one.name for one in runs}:
        return (*(one._replace(alone=False) for one in runs), run._replace(alone=False))
    return tuple(one._replace(seen=run.seen) if one.name == run.name else one for one in runs)


def merged_runs(
    base: Sequence[OpenRun], ours: Sequence[OpenRun], theirs: Sequence[OpenRun]
) -> tuple[OpenRun, ...]:
    """Return the open runs of two documents that were made from the same one; none of them is alone."""
    ended = {one.name for one in base} - ({one.name for one in ours} & {one.name for one in theirs})
    found: dict[str, OpenRun] = {}
    for one in sorted((*theirs, *ours), key=lambda run: run.seen):
        if one.name not in ended:
            found[one.name] = one._replace(alone=False)
    return tuple(found[name] for name in sorted(found))
