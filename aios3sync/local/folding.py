"""Finds out whether a filesystem treats names as equal that differ by case or by Unicode form."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from typing import Final

from aios3sync._namedtuple import NamedTuple
from aios3sync.core.local_names import TEMPORARY_PREFIX

__all__ = ("Folding", "folding_of")

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Folding(NamedTuple):
    """Whether a filesystem ignores the ``case`` of names, and the normal ``form`` of Unicode."""

    case: bool = False
    form: bool = False


def folding_of(path: str) -> Folding:
    """Return the folding of a directory's filesystem, by a test with files that are removed at once. Blocks.

    Where no file can be made, nothing is folded: nothing will be written there either.
    """
    with suppress(OSError):
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return _folding(directory)
        finally:
            os.close(directory)
    return Folding()


def _folding(directory: int) -> Folding:
    name = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.part"
    case = _is_found(directory, name, name.upper())
    if not (case or sys.platform == "darwin"):
        return Folding()  # those that fold the form alone are volumes of macOS
    return Folding(case, _is_found(directory, f"{name}-\u00e9", f"{name}-e\u0301"))


def _is_found(directory: int, name: str, other: str) -> bool:
    """Return whether a file that is made under one name exists under another."""
    os.close(os.open(name, _CREATE, 0o600, dir_fd=directory))
    try:
        os.stat(other, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.unlink(name, dir_fd=directory)
    return True
