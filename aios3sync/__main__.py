"""``python -m aios3sync`` and the console script: hands over to the command line, nothing else."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress

from aios3sync._typing import NoReturn

__all__ = ("main", "program")


def main() -> int:
    """Run the command line with the arguments of this process; returns its exit code."""
    # A sync makes millions of small tuples that no cycle holds together. Looking for cycles as often as the
    # interpreter does by default costs a seventh of an upload's time, and a quarter of a listing's.
    gc.set_threshold(50_000, 20, 50)
    try:
        from aios3sync.cli.main import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were still loading: nothing was begun
        return 130


def program() -> NoReturn:
    """Run the command line, and end the process with its exit code.

    The interpreter would take some milliseconds to take every module and class apart again. What a process
    has to do at its end is done before: output is flushed, the functions of :mod:`atexit` are called. A
    thread that is still at work, as one that waits for a dead disk, is not waited for: nothing depends on it.
    """
    code = main()
    atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing ends its processes
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # what was lost is in the exit code already
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    program()
