"""Locks a pair, so that one run at a time works on it: a locked file next to the manifest."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aios3sync._typing import Final
from aios3sync.errors import LockedError, ManifestError

__all__ = (
    "SHARDS",
    "UPLOADS",
    "has_ended",
    "has_record_locks",
    "hold_lock",
    "lock_path",
    "this_process",
    "whole_path",
)

UPLOADS: Final = ".uploads"
"""Ending of the journal of unfinished uploads, see :mod:`aios3sync.manifest.unfinished`."""
SHARDS: Final = ".shards"
"""Suffix of the directory of a manifest in several files; see :mod:`.root`."""

_UNSUPPORTED: Final = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
"""Errors of flock on file systems without locks: some FUSE and network ones, NFS without lockd."""
_START_TIME: Final = 19
"""Field of ``/proc/PID/stat`` after the name of the program (proc_pid_stat(5), where it is number 22)."""


@contextmanager
def hold_lock(path: str) -> Iterator[None]:
    """Hold the lock; the kernel releases it when the process ends, in whatever way.

    The file stays: removing it would let two runs hold two files of the same name. Where the file system has
    no locks, a further file ``….held`` is the lock while it exists; one that a dead process of this machine
    has left is taken over.

    Raises:
        LockedError: another run holds it.
        ManifestError: the file cannot be made or locked.
    """
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot_be_made(path, error) from error
    try:
        if _flock(descriptor, path):
            yield
        else:
            with _held_file(f"{path}.held"):
                yield
    finally:
        os.close(descriptor)


def lock_path(manifest_path: str) -> str:
    """Return the path of a manifest's lock."""
    return f"{manifest_path}.lock"


def whole_path(path: str) -> str:
    """Return the path of the manifest to which a file belongs."""
    directory = os.path.dirname(path)
    return directory.removesuffix(SHARDS) if directory.endswith(SHARDS) else path


def has_record_locks(path: str) -> bool:
    """Return whether the file system of a manifest has the locks of fcntl(2), which SQLite takes.

    The test uses the lock file: closing a file releases all such locks of the process on it, so it must not
    be a file that SQLite has open. If the test is impossible, the answer is True.

    Args:
        path: of the manifest, or of one of its files.
    """
    whole = whole_path(path)
    try:
        try:
            descriptor = os.open(lock_path(whole), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            if whole == path:
                return True
            # A first dry run on several machines holds no lock: a file without a name is asked.
            from tempfile import TemporaryFile

            with TemporaryFile(dir=os.path.dirname(path)) as file:
                descriptor = os.dup(file.fileno())
    except OSError:
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _UNSUPPORTED
    finally:
        os.close(descriptor)
    return True


def this_process() -> str:
    """Return a name of this process that no other one has, on whatever machine; empty where there is none.

    Machines may have equal names, and containers number their processes each by itself.
    """
    place = _place_of_processes()
    return f"{place} {_owner(os.getpid())}" if place else ""


def has_ended(process: str) -> bool:
    """Whether a process with such a name is known to have ended: of other machines nothing is known."""
    boot, namespace, owner = [*process.split(" ", 2), "", "", ""][:3]
    return f"{boot} {namespace}" == _place_of_processes() and _is_left_over(owner)


def _place_of_processes() -> str:
    """Return what numbers the processes: a namespace of a machine since it was started (namespaces(7))."""
    boot = _text("/proc/sys/kernel/random/boot_id").strip()
    try:
        return f"{boot} {os.readlink('/proc/self/ns/pid')}" if boot else ""
    except OSError:
        return ""


def _flock(descriptor: int, path: str) -> bool:
    """Lock the file; return False where its file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(
            f"another run of the same source and target is at work (lock {path}); wait for it to end"
        ) from None
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise ManifestError(f"the lock {path!r} cannot be held: {error.strerror}") from error
    return True


def _cannot_be_made(path: str, error: OSError) -> ManifestError:
    return ManifestError(
        f"the lock {path!r} cannot be made: {error.strerror}; --manifest FILE keeps the manifest elsewhere"
    )


@contextmanager
def _held_file(path: str) -> Iterator[None]:
    """Hold a file that only one process can create (open(2), O_EXCL)."""
    try:
        if not (_made(path) or (_take_over(path) and _made(path))):
            raise LockedError(
                f"another run of the same source and target is at work (lock {path}); wait for it to end, "
                "or remove that file if there is none"
            )
    except OSError as error:
        raise _cannot_be_made(path, error) from error
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)


def _made(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, _owner(os.getpid()).encode())
    finally:
        os.close(descriptor)
    return True


def _take_over(path: str) -> bool:
    """Remove the file if the process that created it is gone; return whether it was removed.

    It is renamed first and read again: if another run has taken it over in between, it is put back.
    """
    left = _text(path)
    if not _is_left_over(left):
        return False
    aside = f"{path}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.rename(path, aside)
        if _text(aside) != left:
            with suppress(FileExistsError):
                os.link(aside, path)
            os.unlink(aside)
            return False
        os.unlink(aside)
    return True


def _is_left_over(owner: str) -> bool:
    host, _, rest = owner.partition(" ")
    pid = rest.partition(" ")[0]
    return host == os.uname().nodename and pid.isdecimal() and _owner(int(pid)) != owner


def _owner(pid: int) -> str:
    """Return machine, process id and start time, so that a reused process id is another owner."""
    started = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(started) > _START_TIME:
        return f"{os.uname().nodename} {pid} {started[_START_TIME]}"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass  # it lives, as another user
    return f"{os.uname().nodename} {pid} -"


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
