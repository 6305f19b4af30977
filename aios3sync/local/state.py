"""Finds the directory for the state of the user: manifests, the default index, counters. Creates nothing."""

from __future__ import annotations

import os
import sys

__all__ = ("NO_STATE", "state_directory")

NO_STATE = "no home directory is known; set HOME or XDG_STATE_HOME"
"""Why there is no state directory, and the remedy."""


def state_directory() -> str | None:
    """Return the state directory of this program; ``None`` where the user has no home.

    A process in a container often runs under a user id without an account. A directory for temporary files is
    no substitute: every user who may write there could create it first.
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
    """Return the directory that platformdirs chooses in nearly all cases, without the 20 ms of its import.

    The rules are those of https://specifications.freedesktop.org/basedir-spec/latest/; empty where neither
    variable decides it.
    """
    chosen, home = os.environ.get("XDG_STATE_HOME", ""), os.environ.get("HOME", "")
    if os.path.isabs(chosen):
        return chosen
    return os.path.join(home, ".local/state") if os.path.isabs(home) else ""
