"""Prints an error as one line on standard error and chooses the exit code; ``-vv`` adds the traceback."""

from __future__ import annotations

import sys
from contextlib import suppress

from aios3sync._typing import TYPE_CHECKING, Any, Final
from aios3sync.core.text import printable
from aios3sync.errors import AioS3SyncError, LockedError, UsageError

if TYPE_CHECKING:
    import click

__all__ = (
    "exit_code_of",
    "failure_document",
    "message_of",
    "print_ended",
    "print_error",
    "print_lost_output",
    "print_stopping",
    "print_usage_error",
    "stopping_text",
)

_FAILED: Final = 1
_USAGE: Final = 2
_LOCKED: Final = 5
_SIGINT: Final = 2


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a command that ended with this error."""
    if isinstance(error, UsageError):
        return _USAGE
    return _LOCKED if isinstance(error, LockedError) else _FAILED


def message_of(error: BaseException) -> str:
    """Return one line; for an unexpected error only its type, as its message may contain anything."""
    if isinstance(error, AioS3SyncError):
        return " ".join(str(error).split()) or type(error).__name__
    return f"unexpected {type(error).__name__}: this is a bug; -vv shows where"


def failure_document(error: BaseException) -> dict[str, Any]:
    """Return the document that ``--json`` prints instead of a report."""
    return {
        "error": message_of(error),
        "kind": type(error).__name__,
        "exit_code": exit_code_of(error),
    }


def print_error(error: BaseException, *, verbose: bool = False) -> int:
    """Print the error and return the exit code."""
    if verbose:
        import traceback  # few command lines fail

        for line in "".join(traceback.format_exception(error)).splitlines():
            with suppress(OSError):
                print(printable(line), file=sys.stderr)
    _line(message_of(error))
    return exit_code_of(error)


def stopping_text(number: int) -> str:
    """Return the message about a first signal; only a second Ctrl-C ends the process at once."""
    import signal  # its tables take half a millisecond to load

    again = "; press Ctrl-C again to end at once" if number == _SIGINT else ""
    return f"stopping ({signal.Signals(number).name}): requests in flight get a few seconds to end{again}"


def print_stopping(number: int) -> None:
    """Print the message about a first signal, on a new line where the terminal shows ``^C``."""
    with suppress(OSError):
        start = "\n" if number == _SIGINT and sys.stderr.isatty() else ""
        print(f"{start}aios3sync: {stopping_text(number)}", file=sys.stderr, flush=True)


def print_ended() -> None:
    """Print that a second Ctrl-C ended the process."""
    with suppress(OSError):
        start = "\n" if sys.stderr.isatty() else ""
        print(f"{start}aios3sync: ended at once; the next run does the rest", file=sys.stderr, flush=True)


def print_lost_output(error: OSError) -> int:
    """Print that standard output could not be written, and return the exit code."""
    _line(f"standard output cannot be written: {error.strerror or error}")
    return _FAILED


def print_usage_error(error: click.ClickException) -> int:
    """Print an error of the command line and how to get help, and return the exit code."""
    context = getattr(error, "ctx", None)
    hint = f"; see {context.command_path} --help" if context is not None else ""
    _line(" ".join(error.format_message().split()).rstrip(".") + hint)
    return _USAGE


def _line(message: str) -> None:
    with suppress(OSError):  # if standard error is closed, the exit code still reports it
        print(f"aios3sync: error: {printable(message)}", file=sys.stderr, flush=True)
