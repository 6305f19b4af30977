"""Finds the directory for the state of the user: manifests, the default index, counters. It makes nothing."""

from __future__ import annotations

import os
import sys

__all__ = ("NO_STATE", "state_directory")

NO_STATE = "no home directory is known; set HOME or XDG_STATE_HOME"
"""Why there is no state directory, and the way out."""


def state_directory() -> str | None:
    """Return the state directory of this program, ``None`` where the user has no home.

    A process in a container often runs under a number that no user has. A directory below that for temporary
    files is no way out: its name would be known to everyone who may write there.
    """
    if "linux" in sys.platform and (parent := _parent_on_linux()):
        return os.path.join(parent, "aios3sync")
    import platformdirs

    try:
        directory = platformdirs.user_state_dir("aios3sync", appauthor=False)
    except RuntimeError:  # newer versions of platformdirs say so that there is no home
        return None
    # Without a home "~" stays as it is, and would become a directory of that name.
    return directory if os.path.isabs(directory) else None


def _parent_on_linux() -> str:
    """Return where platformdirs puts it for nearly every process, without loading its 20 ms of modules.

    The rules are those of https://specifications.freedesktop.org/basedir-spec/latest/; empty where neither
    variable settles it.
    """
    chosen, home = os.environ.get("XDG_STATE_HOME", ""), os.environ.get("HOME", "")
    if os.path.isabs(chosen):
        return chosen
    return os.path.join(home, ".local/state") if os.path.isabs(home) else ""
