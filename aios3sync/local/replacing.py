"""Replaces a file atomically: a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

__all__ = ("replacing",)

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def replacing(path: str) -> Iterator[IO[bytes]]:
    """Yield a file to write, which gets the name ``path`` at the end of the block; an error removes it.

    Until then it is called ``PATH.tmp-RANDOM``, in the same directory. It gets the mode of the file that it
    replaces, else that of new files. Its bytes are on the disk before it gets its name.

    Raises:
        OSError: it cannot be written or renamed.
    """
    temporary = f"{path}.tmp-{secrets.token_hex(6)}"
    try:
        with os.fdopen(os.open(temporary, _FLAGS, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # there may be none, and modes do not exist everywhere
            os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
