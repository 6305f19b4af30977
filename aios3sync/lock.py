"""One run at a time for a (source, target) pair: a flock'ed file beside the manifest, nothing else."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from aios3sync.errors import LockedError, ManifestError

__all__ = ("hold_lock",)


@contextmanager
def hold_lock(path: str) -> Iterator[None]:
    """Hold the lock; the kernel releases it when the process ends, however it ends.

    The file stays: removing it would let two runs hold two files of the same name.

    Raises:
        LockedError: another run holds it.
        ManifestError: the file cannot be made.
    """
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ManifestError(f"the lock {path!r} cannot be made: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"another run of the same source and target is at work (lock {path}); wait for it to end"
            ) from None
        yield
    finally:
        os.close(descriptor)
