"""Counts a run while it goes on; every planned item must end in exactly one state. No I/O but the error file.

Two sets of counters exist, because a run may compare twice (when a listing turns out to be needed): what has
happened to the world stays counted, what a comparison merely found is counted anew with the next one.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from typing import IO

import orjson

from aios3sync.report import MAX_REPORTED_ERRORS, STATES, Failure

__all__ = ("Tally",)


class Tally:
    """The counters of one run.

    Args:
        error_directory: where the file with all errors goes once there are more than the report holds.
    """

    def __init__(self, error_directory: str) -> None:
        self._effects: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._planned_effects = 0
        self._errors: list[Failure] = []
        self._finding_errors: list[Failure] = []
        self._directory = error_directory
        self._file: IO[bytes] | None = None
        self._overflow: list[Failure] = []
        self._overflowing = False
        self.errors_file: str | None = None
        self._warnings: dict[str, None] = {}
        self.scanned = 0
        self.uploaded_bytes = 0

    def begin_comparison(self) -> None:
        """Forget what the comparison before found; what was done stays."""
        self._findings.clear()
        self._finding_errors.clear()
        self.scanned = 0

    def plan(self, count: int = 1) -> None:
        """``count`` more items have to end in a state."""
        self._planned_effects += count

    def settle(self, state: str, failure: Failure | None = None) -> None:
        """One planned item ended."""
        self._effects[state] += 1
        if failure is not None:
            self._add_error(self._errors, failure)

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
        """Errors that wait for :meth:`write_errors`."""
        return len(self._overflow)

    def write_errors(self) -> None:
        """Write the errors that the report cannot hold, and all before them, to a file. Blocks."""
        waiting, self._overflow = self._overflow, []
        if not waiting:
            return
        try:
            if self._file is None:
                os.makedirs(self._directory, mode=0o700, exist_ok=True)
                descriptor, path = tempfile.mkstemp(prefix="errors-", suffix=".jsonl", dir=self._directory)
                self._file, self.errors_file = os.fdopen(descriptor, "wb"), path
            self._file.write(b"".join(orjson.dumps(failure) + b"\n" for failure in waiting))
        except OSError as error:
            self.warn(f"not all errors could be kept: {error.strerror}")

    def close(self) -> None:
        """Finish the file of errors, if there is one. Blocks."""
        self.write_errors()
        if self._file is not None:
            self._file.close()
