"""View: the protocol of views, which show a command while it works and at its end. Types only."""

from __future__ import annotations

from collections.abc import Callable

from aios3sync._dataclass import dataclass, replace
from aios3sync._typing import TYPE_CHECKING, Any, Protocol
from aios3sync.cli.output.summary import Conclusion

if TYPE_CHECKING:
    from aios3sync.events import Event

__all__ = ("Conclude", "Output", "View")

Conclude = Callable[[Any], Conclusion]


@dataclass(frozen=True, slots=True)
class Output:
    """The output options of the command line, and the choices of commands.

    Attributes:
        log_json: whether standard error gets JSON lines, including each event.
        actions: whether plain lines name each action as it is done.
        kept: the word for items without changes.
        work: the work of a command that prints nothing before its end, as in "counting s3://bucket".
        runs: whether there are several runs, each of which gets its own line at its end.
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
        """Return the same options for a command that prints lines: no live view."""
        return replace(self, progress=False)


class View(Protocol):
    """Shows one run. Its methods are called on the event loop and must be quick."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        ...

    def tick(self) -> None:
        """Called about ten times a second during the run."""
        ...

    def stopping(self, signal: int) -> None:
        """Show at once that a signal has requested a stop, and what a second one does."""
        ...

    def close(self) -> None:
        """Restore the terminal and flush what was printed; idempotent."""
        ...

    def report(self, report: Any) -> None:
        """Show the report."""
        ...

    def fail(self, error: BaseException) -> None:
        """Show the error that ended the run; on standard output too if machines read it."""
        ...
