"""Counts a run while it goes on; every planned item must end in exactly one state. No I/O.

Two sets of counters exist, because a run may compare twice (when a listing turns out to be needed): what has
happened to the world stays counted, what a comparison merely found is counted anew with the next one.
"""

from __future__ import annotations

from collections import Counter

from aios3sync.report import MAX_REPORTED_ERRORS, STATES, Failure

__all__ = ("Tally",)


class Tally:
    """The counters of one run."""

    def __init__(self) -> None:
        self._effects: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._planned_effects = 0
        self._errors: list[Failure] = []
        self._finding_errors: list[Failure] = []
        self._overflow: list[Failure] = []
        self._overflowing = False
        self._warnings: dict[str, None] = {}
        self.scanned = 0
        self.uploaded_bytes = 0

    def begin_comparison(self, *, nothing_done: bool = False) -> None:
        """Forget what the comparison before found; what was done stays, unless ``nothing_done``."""
        if nothing_done:
            self._effects.clear()
            self._errors.clear()
            self._planned_effects = self.uploaded_bytes = 0
        self._findings.clear()
        self._finding_errors.clear()
        self.scanned = 0

    def plan(self, count: int = 1) -> None:
        """``count`` more items have to end in a state."""
        self._planned_effects += count

    def settle(self, state: str, failure: Failure | None = None, *, count: int = 1) -> None:
        """One planned item ended, or ``count`` of them."""
        self._effects[state] += count
        if failure is not None:
            self._add_error(self._errors, failure)

    def settle_as_found(self, state: str) -> None:
        """One planned item ended without an effect: it counts as one that the comparison found."""
        self._planned_effects -= 1
        self.find(state)

    def find(self, state: str, count: int = 1, failure: Failure | None = None) -> None:
        """The comparison itself found ``count`` items in a state: planned and ended at once."""
        self._findings[state] += count
        if failure is not None:
            self._add_error(self._finding_errors, failure)

    def warn(self, message: str) -> None:
        """Something worth a line, once; of very many only the first are kept."""
        if len(self._warnings) < MAX_REPORTED_ERRORS:
            self._warnings[message] = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was warned of, in order."""
        return tuple(self._warnings)

    @property
    def pending(self) -> int:
        """Planned items that have not ended yet."""
        return self._planned_effects - self._effects.total()

    @property
    def planned(self) -> int:
        """All items, ended or not."""
        return self._planned_effects + self._findings.total()

    @property
    def cancelled(self) -> int:
        """Items that were given up."""
        return self._effects["cancelled"]

    def cancel_pending(self) -> None:
        """What has not ended by now never will."""
        self._effects["cancelled"] += self.pending

    def counts(self) -> dict[str, int]:
        """All states with their counts."""
        return {state: self._effects[state] + self._findings[state] for state in STATES}

    @property
    def errors(self) -> tuple[Failure, ...]:
        """The first failures, those of the comparison first."""
        return tuple((self._finding_errors + self._errors)[:MAX_REPORTED_ERRORS])

    def _add_error(self, errors: list[Failure], failure: Failure) -> None:
        if len(errors) < MAX_REPORTED_ERRORS:
            errors.append(failure)
            return
        if not self._overflowing:
            self._overflow, self._overflowing = list(errors), True
        self._overflow.append(failure)

    @property
    def overflow(self) -> int:
        """Errors that the report cannot hold, and that were not taken yet."""
        return len(self._overflow)

    def take_overflow(self) -> list[Failure]:
        """Those errors, once; the first time with all that the report does hold before them."""
        taken, self._overflow = self._overflow, []
        return taken
