"""The runs that a root document names as begun and not ended, so that none calls it complete too early. Pure.

Invariants:

* A run is named before it changes a side, and the document is incomplete from then on.
* Only the end of a run that was alone all the time makes the document complete again. A run that begins while
  another one is open is not alone, and neither is that one any more: each has changed what the other one has
  seen, and whichever of them is killed says nothing of it. So as long as any run is open, and after runs that
  overlapped, the next one lists.
* A run that dies stays open. The next one drops it where its process is known to be gone, or where it gave no
  sign of life for :data:`SILENT_S`: it could not make the document complete, so that one lists, and is alone.
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
        name: of its own, random.
        seen: its last sign of life, seconds since the epoch.
        process: that does all of its work, see :func:`~aios3sync.manifest.lock.this_process`; empty where
            others may still be at work for it when that one has ended.
        alone: no other run was open since it began.
    """

    name: str
    seen: float
    process: str = ""
    alone: bool = True

    @classmethod
    def of(cls, value: Sequence[Any]) -> OpenRun:
        """Return a run as a document has it.

        Raises:
            TypeError, ValueError: it is none.
        """
        name, seen, process, alone = value
        if not (isinstance(name, str) and isinstance(process, str) and isinstance(alone, bool)):
            raise TypeError(f"{value!r} is no run")
        return cls(name, float(seen), process, alone)

    def is_dead(self, now: float, is_gone: Callable[[str], bool]) -> bool:
        """Whether it will change nothing any more.

        Args:
            now: seconds since the epoch; a clock that is a day off proves nothing.
            is_gone: tells of a process that it has ended.
        """
        return abs(now - self.seen) > SILENT_S or bool(self.process and is_gone(self.process))


def with_begun(runs: Sequence[OpenRun], run: OpenRun, is_gone: Callable[[str], bool]) -> tuple[OpenRun, ...]:
    """Return the open runs once another one has begun; those that are dead are dropped."""
    others = [one._replace(alone=False) for one in runs if not one.is_dead(run.seen, is_gone)]
    return (*others, run._replace(alone=not others))


def with_renewed(runs: Sequence[OpenRun], run: OpenRun) -> tuple[OpenRun, ...]:
    """Return the open runs after a sign of life of one, which another run may have taken for dead."""
    if run.name not in {one.name for one in runs}:
        return (*(one._replace(alone=False) for one in runs), run._replace(alone=False))
    return tuple(one._replace(seen=run.seen) if one.name == run.name else one for one in runs)


def merged_runs(
    base: Sequence[OpenRun], ours: Sequence[OpenRun], theirs: Sequence[OpenRun]
) -> tuple[OpenRun, ...]:
    """Return the open runs of two documents that were made of one; none of them was alone."""
    ended = {one.name for one in base} - ({one.name for one in ours} & {one.name for one in theirs})
    found: dict[str, OpenRun] = {}
    for one in sorted((*theirs, *ours), key=lambda run: run.seen):
        if one.name not in ended:
            found[one.name] = one._replace(alone=False)
    return tuple(found[name] for name in sorted(found))
