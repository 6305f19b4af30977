"""Shows long output in the pager of the user: ``PAGER``, or less with the settings of git."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ("page", "pager_command")

_LESS: Final = "FRX"
"""Quit if everything fits on one screen, keep colours, leave the last screen in the terminal; like git."""


def pager_command(environment: Mapping[str, str]) -> str:
    """Return the shell command of the pager; empty where there is none, as with ``PAGER=cat``."""
    if environment.get("TERM", "dumb") == "dumb":
        return ""
    wanted = environment.get("PAGER")
    if wanted is None:
        found = ("less", "more")
        wanted = next((name for name in found if shutil.which(name, path=environment.get("PATH"))), "")
    return "" if wanted.strip() == "cat" else wanted.strip()


def page(lines: Iterable[str]) -> bool:
    """Show lines, with their line ends, until the user quits; return False where there is no pager.

    Unprintable characters in them must be escaped.
    """
    command = pager_command(os.environ)
    if not command:
        return False
    environment = {"LESS": _LESS, "LV": "-c", **os.environ}
    pager = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=environment)  # noqa: S602
    assert pager.stdin is not None  # noqa: S101 - it is a pipe
    try:
        with pager.stdin as stream:
            for line in lines:
                stream.write(line.encode(errors="backslashreplace"))
    except OSError:
        pass  # the user has seen enough
    return pager.wait() not in _NOT_STARTED


_NOT_STARTED: Final = (126, 127)
"""The exit codes of a shell that cannot start a command (POSIX, 2.8.2)."""
