"""Finds the directory for the state of the user: manifests, the default index, counters. It makes nothing."""

from __future__ import annotations

import os

import platformdirs

__all__ = ("NO_STATE", "state_directory")

NO_STATE = "no home directory is known; set HOME or XDG_STATE_HOME"
"""Why there is no state directory, and the way out."""


def state_directory() -> str | None:
    """Return the state directory of this program, ``None`` where the user has no home.

    A process in a container often runs under a number that no user has. A directory below that for temporary
    files is no way out: its name would be known to everyone who may write there.
    """
    try:
        directory = platformdirs.user_state_dir("aios3sync", appauthor=False)
    except RuntimeError:  # newer versions of platformdirs say so that there is no home
        return None
    # Without a home "~" stays as it is, and would become a directory of that name.
    return directory if os.path.isabs(directory) else None
