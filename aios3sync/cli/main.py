"""Runs one command line, loads as few modules as it needs, and reports lost output."""

from __future__ import annotations

from collections.abc import Sequence

from aios3sync._typing import Final
from aios3sync._version import __version__
from aios3sync.cli.errors import print_error, print_lost_output
from aios3sync.cli.output.lines import flush_output, lost_output, open_missing_streams, standard_lines

__all__ = ("run",)

_READER_LEFT: Final = 141
"""The exit code after the reader of standard output has closed it: as the shell's for SIGPIPE."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors become one line on standard error.

    Output that could not be written is an error too: otherwise a script would take empty output as a result.
    """
    open_missing_streams()
    code = _run(arguments)
    flush_output()
    loss = lost_output()
    if loss is None:
        return code
    if isinstance(loss, BrokenPipeError):  # the reader left on purpose, as head does: no message
        return code or _READER_LEFT
    failed = print_lost_output(loss)
    return code or failed


def _run(arguments: Sequence[str]) -> int:
    """Run it in the quickest way: each of these loads more than the one before."""
    if list(arguments) == ["--version"]:
        standard_lines()[0].line(f"aios3sync {__version__}")
        return 0
    if arguments[:1] == ["sync"]:
        from aios3sync.cli.everyday import run_everyday

        try:
            code = run_everyday(arguments)
        except Exception as error:  # noqa: BLE001 - whatever nothing caught: one line, no traceback
            return print_error(error)
        if code is not None:
            return code
    from aios3sync.cli.program import run_program

    return run_program(arguments)
