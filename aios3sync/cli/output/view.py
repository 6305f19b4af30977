"""The contract of views: what a command shows while it works and at its end. Types only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aios3sync.cli.output.summary import Conclusion
from aios3sync.events import Event

__all__ = ("Conclude", "Output", "View")

Conclude = Callable[[Any], Conclusion]


@dataclass(frozen=True, slots=True)
class Output:
    """How a command was asked to tell what it does: the output options of the command line."""

    json: bool = False
    events: bool = False
    quiet: bool = False
    verbose: int = 0
    progress: bool = True

    def without_progress(self) -> Output:
        """Return the same options for a command that answers with lines: no live view."""
        return replace(self, progress=False)


class View(Protocol):
    """Shows one run. Its methods are called on the event loop and must be quick."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        ...

    def tick(self) -> None:
        """Called about ten times a second while the run lasts."""
        ...

    def stopping(self, signal: int) -> None:
        """Say at once that a signal asked the run to stop, and what another one does."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found; idempotent."""
        ...

    def report(self, report: Any) -> None:
        """Say what came of it."""
        ...

    def fail(self, error: BaseException) -> None:
        """Say why there is no report, on standard output where machines read it."""
        ...
