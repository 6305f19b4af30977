"""Opens a file below the source without following a symbolic link that the options do not allow.

A walk checks links, but a path that it checked may have become a link when the file is read. Here every
directory of the path is opened from the one above it, by its bare name and never through a link (openat(2),
O_NOFOLLOW); links are followed step by step, if the options allow it. Only the standard library is imported,
so that upload processes start quickly.
"""

from __future__ import annotations

import errno
import os

from aios3sync._typing import Final

__all__ = ("open_beneath",)

_DIRECTORY: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_LINK_ERRORS: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})
"""Errors of opening a link with O_NOFOLLOW: on Linux, on Linux for a directory, on FreeBSD."""
_MOST_LINKS: Final = 40
"""Links in one path, as many as Linux follows (path_resolution(7))."""


class _LinkMetError(Exception):
    """A part of the path is a symbolic link; ``parts`` of the path lead up to it and include it."""

    def __init__(self, parts: int) -> None:
        super().__init__(parts)
        self.parts = parts


def open_beneath(root: str, key: str, flags: int, *, inside: bool) -> int:
    """Open the file of a key and return its descriptor.

    Args:
        root: the source, absolute; links in its own path are followed.
        key: path below it.
        flags: how to open the file.
        inside: follow links that stay below the root; else follow none.

    Raises:
        OSError: it cannot be opened, or its path contains a link that must not be followed.
    """
    try:
        return _opened(root, key.split("/"), flags, inside=inside)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{root}/{key}") from error


def _opened(root: str, parts: list[str], flags: int, *, inside: bool) -> int:
    for _ in range(_MOST_LINKS):
        try:
            return _without_links(root, parts, flags)
        except _LinkMetError as link:
            if not inside:
                raise OSError(
                    errno.ELOOP, "a symbolic link is on the way to it now; links are skipped"
                ) from None
            parts = [*_inside(root, parts[: link.parts]), *parts[link.parts :]]
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _without_links(root: str, parts: list[str], flags: int) -> int:
    directory = os.open(root, _DIRECTORY & ~os.O_NOFOLLOW)
    try:
        for count, name in enumerate(parts, start=1):
            how = flags | os.O_NOFOLLOW if count == len(parts) else _DIRECTORY
            try:
                below = os.open(name, how, dir_fd=directory)
            except OSError as error:
                if error.errno in _LINK_ERRORS and _is_link(name, directory):
                    raise _LinkMetError(count) from None
                raise
            os.close(directory)
            directory = below
    except BaseException:
        os.close(directory)
        raise
    return directory


def _is_link(name: str, directory: int) -> bool:
    try:
        os.readlink(name, dir_fd=directory)
    except OSError:
        return False
    return True


def _inside(root: str, parts: list[str]) -> list[str]:
    """Return the parts of the path that a link leads to; they are opened again, as they may have changed."""
    real_root = os.path.realpath(root)
    path = "/".join([real_root, *parts])
    os.stat(path)  # a loop of links, or a way through a file, leads somewhere by its text alone
    real = os.path.realpath(path, strict=True)
    if real != real_root and not real.startswith(f"{real_root.rstrip('/')}/"):
        raise OSError(errno.ELOOP, "a symbolic link leads out of the source now")
    return [part for part in real[len(real_root) :].split("/") if part]
