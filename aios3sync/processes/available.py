"""Decides how many processes a session may have to send and fetch small files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from aios3sync.options import ConnectOptions

__all__ = ("most_processes",)

_MOST: Final = 4
"""More processes would send faster than one event loop can record the results."""


def most_processes(options: ConnectOptions, neighbours: int = 1) -> int:
    """Return how many processes a session may have; 0 where none can be started.

    Args:
        options: how many the user wants; without the option one less than the number of cores, up to 4.
        neighbours: number of sessions that share the cores of this machine.
    """
    if not _can_spawn():
        return 0
    if options.processes is not None:
        return options.processes
    cores = len(os.sched_getaffinity(0)) // max(neighbours, 1)
    return max(0, min(_MOST, cores - 1))


def _can_spawn() -> bool:
    """Whether a Python interpreter can be started; a frozen program has none."""
    if getattr(sys, "frozen", False) or not Path(sys.executable or "").name.startswith("python"):
        return False
    return sys.platform == "linux"
