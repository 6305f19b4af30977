"""The manifests in a user's state directory: lists them with their pairs, and removes them. Blocks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from aios3sync._dataclass import asdict, dataclass
from aios3sync.errors import LockedError, ManifestError
from aios3sync.manifest.files import open_kept, size_on_disk
from aios3sync.manifest.lock import SHARDS, hold_lock, lock_path
from aios3sync.manifest.protocol import Binding
from aios3sync.manifest.removal import remove_manifest
from aios3sync.manifest.unfinished import count_unfinished

__all__ = ("KeptManifest", "kept_manifests", "remove_kept")

_NAME: Final = re.compile(r"([0-9a-f]{32}\.sqlite)(?:\.shards)?")
_SET_ASIDE: Final = re.compile(r"([0-9a-f]{32}\.sqlite\.set-aside-\d{8}T\d{6}-\d+)(?:\.shards)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptManifest:
    """One manifest in the state directory.

    Attributes:
        path: its file.
        binding: its pair; ``None`` where the file does not say.
        used_at: the last run, seconds since the epoch; for a file that cannot be read, its last change.
        file_size: its bytes.
        source_missing: whether the directory of the pair is missing now; it may be on a disk that is not
            mounted.
        is_set_aside: whether a run could not use it and has created another one.
        problem: why it cannot be read, or empty.
        unfinished_uploads: unfinished multipart uploads, which are recorded only here.
    """

    path: str
    binding: Binding | None = None
    used_at: float = 0.0
    file_size: int = 0
    source_missing: bool = False
    is_set_aside: bool = False
    problem: str = ""
    unfinished_uploads: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as a JSON document."""
        return asdict(self)


def kept_manifests(directory: str) -> Iterator[KeptManifest]:
    """Yield the manifests in a state directory, including those set aside, in the order of file names.

    Raises:
        ManifestError: the directory cannot be read.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ManifestError(f"{directory!r} cannot be read: {error.strerror}") from error
    found = {match[1]: False for name in names if (match := _NAME.fullmatch(name))}
    found |= {match[1]: True for name in names if (match := _SET_ASIDE.fullmatch(name))}
    for name, is_set_aside in sorted(found.items()):
        with suppress(FileNotFoundError):  # removed meanwhile
            yield _kept(os.path.join(directory, name), is_set_aside=is_set_aside)


def _kept(path: str, *, is_set_aside: bool) -> KeptManifest:
    place = path if os.path.exists(path) else path + SHARDS
    size, changed = size_on_disk(path), os.stat(place).st_mtime
    if is_set_aside:
        return KeptManifest(path=path, used_at=changed, file_size=size, is_set_aside=True)
    unfinished = count_unfinished(path)
    try:
        binding, state = open_kept(path)
    except (ManifestError, ValueError) as error:
        problem = " ".join(str(error).split())
        return KeptManifest(
            path=path, used_at=changed, file_size=size, problem=problem, unfinished_uploads=unfinished
        )
    source = binding.source if binding is not None else ""
    return KeptManifest(
        path=path,
        binding=binding,
        used_at=state.last_sync or changed,
        file_size=size,
        source_missing=os.path.isabs(source) and not os.path.isdir(source),
        unfinished_uploads=unfinished,
    )


def remove_kept(kept: KeptManifest) -> bool:
    """Remove a manifest; return False if a run uses it.

    The next run of its pair compares everything; nothing else is lost.

    Raises:
        ManifestError: it cannot be removed.
    """
    try:
        with hold_lock(lock_path(kept.path)):
            remove_manifest(kept.path)
    except LockedError:
        return False
    except OSError as error:
        raise ManifestError(f"{kept.path!r} cannot be removed: {error.strerror}") from error
    if kept.is_set_aside:
        with suppress(OSError):  # no run takes the lock of such a file
            os.unlink(lock_path(kept.path))
    return True
