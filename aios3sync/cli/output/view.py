"""The contract of views, which show what a command does while it works and at its end. Types only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from aios3sync._dataclass import dataclass, replace
from aios3sync.cli.output.summary import Conclusion

if TYPE_CHECKING:
    from aios3sync.events import Event

__all__ = ("Conclude", "Output", "View")

Conclude = Callable[[Any], Conclusion]


@dataclass(frozen=True, slots=True)
class Output:
    """The output options of the command line, and what commands choose.

    Attributes:
        log_json: standard error has JSON lines, also of each event.
        actions: plain lines name each action as it is done.
        kept: the word for what needs nothing.
        work: what a command does that prints nothing before its end, as in "counting s3://bucket".
        runs: there are several runs, each of which gets its own line when it has ended.
    """

    json: bool = False
    events: bool = False
    quiet: bool = False
    verbose: int = 0
    progress: bool = True
    log_json: bool = False
    actions: bool = True
    kept: str = "kept"
    work: str = ""
    runs: bool = False

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
        """Show at once that a signal asked the run to stop, and what a second one does."""
        ...

    def close(self) -> None:
        """Restore the terminal and flush what was printed; idempotent."""
        ...

    def report(self, report: Any) -> None:
        """Show the report."""
        ...

    def fail(self, error: BaseException) -> None:
        """Show the error that ended the run; on standard output too where machines read it."""
        ...
