"""Opens temporary files, with one clear error where there is no space for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aios3sync._typing import IO
from aios3sync.errors import TemporarySpaceError

__all__ = ("drop", "no_space", "temporary_file", "temporary_space")


def no_space(reason: object) -> TemporarySpaceError:
    """Return the error for temporary files that cannot be written, with the directory that they are in."""
    import tempfile  # eight modules, which few runs need

    try:
        place = repr(tempfile.gettempdir())
    except OSError:
        place = "any of the usual directories"
    return TemporarySpaceError(
        f"temporary files cannot be written in {place}: {reason}; set TMPDIR to a directory with room"
    )


@contextmanager
def temporary_space() -> Iterator[None]:
    """Turn an OSError of work on temporary files into a TemporarySpaceError."""
    try:
        yield
    except OSError as error:
        raise no_space(error.strerror or error) from error


def temporary_file() -> IO[bytes]:
    """Open a file without a name, which is deleted when it is closed. Blocks.

    Raises:
        TemporarySpaceError: there is no directory for it.
    """
    import tempfile

    with temporary_space():
        return tempfile.TemporaryFile(prefix="aios3sync-")


def drop(file: IO[bytes]) -> None:
    """Close a temporary file; its content is no longer needed, so errors of writing it are ignored."""
    with suppress(OSError):
        file.close()
