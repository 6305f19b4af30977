"""Errors as one line on stderr and an exit code; a traceback is shown under ``-vv`` alone."""

from __future__ import annotations

import signal
import sys
import traceback
from contextlib import suppress
from typing import Any, Final

import click

from aios3sync.core.text import printable
from aios3sync.errors import AioS3SyncError, LockedError, UsageError

__all__ = (
    "exit_code_of",
    "failure_document",
    "message_of",
    "stopping_text",
    "tell",
    "tell_lost",
    "tell_stopping",
    "tell_usage",
)

_FAILED: Final = 1
_USAGE: Final = 2
_LOCKED: Final = 5


def exit_code_of(error: BaseException) -> int:
    """The exit code for a run that ended with this error."""
    if isinstance(error, UsageError):
        return _USAGE
    return _LOCKED if isinstance(error, LockedError) else _FAILED


def message_of(error: BaseException) -> str:
    """One line. Of an error that nobody foresaw only the type is told: its text may hold anything."""
    if isinstance(error, AioS3SyncError):
        return " ".join(str(error).split()) or type(error).__name__
    return f"unexpected {type(error).__name__}: this is a bug; -vv shows where"


def failure_document(error: BaseException) -> dict[str, Any]:
    """What ``--json`` prints in the place of a report."""
    return {
        "error": message_of(error),
        "kind": type(error).__name__,
        "exit_code": exit_code_of(error),
    }


def tell(error: BaseException, *, verbose: bool = False) -> int:
    """Print the error and return the exit code."""
    if verbose:
        for line in "".join(traceback.format_exception(error)).splitlines():
            with suppress(OSError):
                print(printable(line), file=sys.stderr)
    _line(message_of(error))
    return exit_code_of(error)


def stopping_text(number: int) -> str:
    """What is said when a signal arrived: Ctrl-C ends at once only if it comes again."""
    again = "; Ctrl-C again to end at once" if number == signal.SIGINT else ""
    return f"stopping ({signal.Signals(number).name}): what is under way gets a few seconds to end{again}"


def tell_stopping(number: int) -> None:
    """Print it; where the terminal shows ``^C``, on a line of its own."""
    with suppress(OSError):
        start = "\n" if number == signal.SIGINT and sys.stderr.isatty() else ""
        print(f"{start}aios3sync: {stopping_text(number)}", file=sys.stderr, flush=True)


def tell_lost(error: OSError) -> int:
    """Say that standard output could not be written, and return the exit code."""
    _line(f"standard output cannot be written: {error.strerror or error}")
    return _FAILED


def tell_usage(error: click.ClickException) -> int:
    """Print an error of the command line itself, with the way to its help."""
    context = getattr(error, "ctx", None)
    hint = f"; see {context.command_path} --help" if context is not None else ""
    _line(" ".join(error.format_message().split()).rstrip(".") + hint)
    return _USAGE


def _line(message: str) -> None:
    with suppress(OSError):  # if nobody listens any more, the exit code still tells
        print(f"aios3sync: error: {printable(message)}", file=sys.stderr, flush=True)
