"""Finds and opens the manifest of a pair; a file that cannot be trusted is set aside, never overwritten."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from aios3sync._lazy import lazy_pattern
from aios3sync._typing import TYPE_CHECKING, Final
from aios3sync.core.filters import OwnFiles
from aios3sync.core.text import escape_undecodable
from aios3sync.errors import ManifestError
from aios3sync.local.state import NO_STATE, state_directory
from aios3sync.manifest.lock import SHARDS, UPLOADS, hold_lock, lock_path, whole_path
from aios3sync.manifest.protocol import Binding, BlockingManifest, Manifest, ManifestState
from aios3sync.manifest.sqlite import SqliteManifest, is_sqlite

if TYPE_CHECKING:
    from aios3sync.manifest.json_file import DocumentManifest

__all__ = (
    "default_path",
    "describe_pair",
    "exists",
    "key_below",
    "local_files",
    "open_kept",
    "open_manifest",
    "own_files",
    "refuse_foreign",
    "set_aside",
    "size_on_disk",
    "sound_manifest",
    "storable",
    "temporary_manifest",
)

_SNIFFED: Final = 4096
_JOURNALS: Final = ("-wal", "-shm", "-journal")
_SIDE_FILES: Final = ("", *_JOURNALS, ".lock")
# The rest of the names of our files next to a manifest: all of them begin with the manifest's own name, so
# that no file of a user is taken for one.
_SIDE_NAMES: Final = (
    r"(?:(?:\.set-aside-\d{8}T\d{6}-\d+)?(?:-wal|-shm|-journal)?"
    r"|\.lock(?:\.held(?:\.\d+)?)?|\.tmp-\w+|\.errors-\w+\.jsonl|\.uploads"
    r"|(?:\.set-aside-\d{8}T\d{6}-\d+)?\.shards(?:/.+)?)"
)


def default_path(binding: Binding) -> str:
    """Return the default path of the manifest of a pair; empty where there is no state directory."""
    directory = state_directory()
    return os.path.join(directory, f"{binding.digest()}.sqlite") if directory else ""


def local_files(manifest_path: str) -> list[str]:
    """List the files of a manifest, including its lock."""
    return [manifest_path + suffix for suffix in _SIDE_FILES]


def own_files(manifest_path: str, root: str, endings: str = _SIDE_NAMES) -> tuple[OwnFiles, ...]:
    """Return a test for the files of a manifest in a walk over ``root``. Blocks.

    Where the manifest is a symbolic link, SQLite keeps its journals next to the file that the link leads to.

    Args:
        manifest_path: absolute; need not exist. Empty where there is none.
        root: the source, absolute.
        endings: matches what may follow its name; for files other than manifests another pattern.
    """
    if not manifest_path:
        return ()
    manifest_path = whole_path(manifest_path)
    places = [manifest_path]
    if os.path.islink(manifest_path):
        places.append(os.path.realpath(manifest_path))
    return tuple(_side_files(place, root, endings) for place in places)


def _side_files(manifest_path: str, root: str, endings: str) -> OwnFiles:
    directory, base = os.path.split(manifest_path)
    below = {_below(root, directory), _below(os.path.realpath(root), os.path.realpath(directory))}
    places = sorted(place for place in below if place is not None)
    name = lazy_pattern(partial(_name_pattern, [""], base, endings))
    keys = lazy_pattern(partial(_name_pattern, places, base, endings)) if places else None
    try:
        found = os.stat(directory)
    except OSError:
        return OwnFiles(name, keys)
    return OwnFiles(name, keys, (found.st_dev, found.st_ino))


def _name_pattern(places: Sequence[str], base: str, endings: str) -> str:
    import re  # most syncs meet no file of theirs

    return f"(?:{'|'.join(map(re.escape, places))}){re.escape(base)}{endings}"


def _below(root: str, directory: str) -> str | None:
    """Return the key of a directory, ending in ``/`` (empty for the root); ``None`` if it is elsewhere."""
    inside = f"{directory}/".removeprefix(f"{root.rstrip('/')}/")
    return None if inside == f"{directory}/" else inside


def key_below(root: str, path: str) -> str:
    """Return the key of a file below a root, also through links; empty if it is elsewhere. Blocks."""
    inside = _below(root, path) or _below(os.path.realpath(root), os.path.realpath(path)) or ""
    return inside.removesuffix("/")


def temporary_manifest() -> Manifest:
    """Open a manifest that is deleted when it is closed; SQLite keeps it in a private file."""
    return SqliteManifest.open("")


def refuse_foreign(path: str) -> None:
    """Check that ``path`` is free or a manifest, before any file is made next to it. Blocks.

    Raises:
        ManifestError: it is a file of another program, or a directory, or empty because there is no state
            directory.
    """
    if not path:
        raise ManifestError(f"{NO_STATE}, or name a place with --manifest")
    if os.path.isdir(path):
        raise ManifestError(f"the manifest {path!r} is a directory; name a file")
    try:
        if not os.path.exists(path) or is_sqlite(path):
            return
        with open(path, "rb") as file:
            if file.read(_SNIFFED).lstrip().startswith(b"{"):
                return
    except OSError as error:
        raise ManifestError(f"the manifest {path!r} cannot be read: {error.strerror}") from error
    raise ManifestError(f"{path!r} is not a manifest, and is left as it is; name another file")


def open_manifest(
    path: str,
    binding: Binding,
    warn: Callable[[str], None],
    *,
    read_only: bool = False,
    sets_aside: bool | None = None,
) -> Manifest:
    """Open the manifest at ``path`` for a pair, or create one. Blocks: call it in a thread.

    A file that is corrupt, of another version or bound to another pair is renamed to ``….set-aside-<time>``
    with a warning. A JSON file without a binding is taken over as incomplete. With ``read_only`` nothing is
    written: where there is no usable file, an empty temporary manifest is opened.

    Args:
        path: of the manifest.
        binding: the pair.
        warn: takes the warning.
        read_only: write nothing.
        sets_aside: also rename unusable files where the manifest is only read.

    Raises:
        ManifestError: the file belongs to another program (nothing was changed), or the path cannot be used.
    """
    if read_only and not exists(path):
        return temporary_manifest()
    stays = read_only if sets_aside is None else not sets_aside
    try:
        manifest = _open_format(path, read_only=read_only)
    except ValueError as error:
        return set_aside(path, binding, str(error), warn, read_only=stays)
    bound = manifest.binding
    if bound is not None and bound != storable(binding):
        _close_now(manifest)
        reason = f"it belongs to {describe_pair(bound)}"
        return set_aside(path, binding, reason, warn, read_only=stays)
    if bound is None and not read_only:
        manifest.bind(storable(binding))
    return manifest


@contextmanager
def sound_manifest(path: str, binding: Binding, *, make: bool) -> Iterator[BlockingManifest | None]:
    """Lock and open the manifest of a pair, if it is in the default format with no more to do. Blocks.

    A run is needed where uploads are unfinished: it continues or aborts them.

    Args:
        path: of the manifest; empty where there is no place for one.
        binding: the pair.
        make: whether to make one where there is none.

    Raises:
        LockedError: another run of the pair is at work.
        ManifestError: it cannot be read.
        ValueError: it is damaged, or of a newer version.
    """
    if (
        not path
        or path.endswith(".json")
        or not (is_sqlite(path) if os.path.isfile(path) else make and not os.path.lexists(path))
        or os.path.isdir(path + SHARDS)
        or os.path.exists(path + UPLOADS)
    ):
        yield None
        return
    with hold_lock(lock_path(path)):
        manifest = SqliteManifest.open(path)
        try:
            if manifest.binding is None:
                manifest.bind(storable(binding))
            yield manifest if manifest.binding == storable(binding) else None
        finally:
            manifest.close_now()


def describe_pair(binding: Binding) -> str:
    """Return the pair as text for messages."""
    return f"{binding.source} -> s3://{binding.bucket}/{binding.prefix} at {binding.endpoint}"


def storable(binding: Binding) -> Binding:
    """Return the pair as text that can be stored: a source path that is not UTF-8 has its bytes escaped."""
    return Binding(escape_undecodable(binding.source), binding.endpoint, binding.bucket, binding.prefix)


def _open_format(path: str, *, read_only: bool) -> SqliteManifest | DocumentManifest:
    if os.path.isdir(path + SHARDS) and (shards := _open_shards(path, read_only=read_only)) is not None:
        return shards
    if read_only and not os.path.exists(path):  # a directory without a document: nothing was recorded
        return SqliteManifest.open("")
    refuse_foreign(path)
    if path.endswith(".json") or (os.path.exists(path) and not is_sqlite(path)):
        from aios3sync.manifest.json_file import DocumentManifest  # few manifests are documents

        return DocumentManifest.open(path)
    manifest = SqliteManifest.open(path, read_only=read_only)
    if whole_path(path) != path:
        return _with_layers(manifest, path, read_only=read_only)
    return manifest


def _open_shards(path: str, *, read_only: bool) -> SqliteManifest | None:
    """Open the manifest that a run on several machines has written; ``None`` where there is none."""
    from aios3sync.manifest.root_directory import RootDirectory
    from aios3sync.manifest.sharded import open_shards

    directory = RootDirectory(path + SHARDS)
    root = directory.read()
    return None if root is None else open_shards(directory, root, read_only=read_only)


def _with_layers(manifest: SqliteManifest, path: str, *, read_only: bool) -> SqliteManifest:
    """Return a file of such a manifest with the layers below it."""
    from aios3sync.manifest.layers import LayeredManifest

    manifest.close_now()
    return LayeredManifest.open(path, read_only=read_only)


def open_kept(path: str) -> tuple[Binding | None, ManifestState]:
    """Return the pair and the state of a manifest, for any pair. Blocks; writes nothing.

    Raises:
        ManifestError: it cannot be read.
        ValueError: it is damaged, or of a newer version.
    """
    manifest = (os.path.isdir(path + SHARDS) and _open_shards(path, read_only=True)) or SqliteManifest.open(
        path, read_only=True
    )
    try:
        return manifest.binding, manifest.state_now()
    finally:
        manifest.close_now()


def exists(path: str) -> bool:
    """Whether there is a manifest, in one file or in several. Blocks."""
    return os.path.exists(path) or os.path.isdir(path + SHARDS)


def size_on_disk(path: str) -> int:
    """Return the bytes of a manifest. Blocks.

    Raises:
        OSError: there is none.
    """
    if not os.path.isdir(path + SHARDS):
        return os.path.getsize(path)
    with os.scandir(path + SHARDS) as found:
        return sum(entry.stat().st_size for entry in found)


def set_aside(
    path: str, binding: Binding, reason: str, warn: Callable[[str], None], *, read_only: bool
) -> Manifest:
    """Set the file aside, with a warning that says why, and open a new one. Blocks.

    With ``read_only`` the file is not changed, and an empty temporary manifest is opened.

    Raises:
        ManifestError: the path cannot be written.
    """
    if read_only:
        warn(f"the manifest {path} is not used: {reason}")
        return temporary_manifest()
    if os.path.isdir(path + SHARDS):
        from aios3sync.manifest.unfinished import join_journals

        join_journals(path)  # what is unfinished in the bucket has nothing to do with the damage
    aside = f"{path}.set-aside-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    try:
        for suffix in ("", SHARDS):
            if os.path.exists(path + suffix):
                os.replace(path + suffix, aside + suffix)
        for suffix in _JOURNALS:
            if os.path.exists(path + suffix):
                os.replace(path + suffix, aside + suffix)
    except OSError as error:
        raise ManifestError(f"the manifest {path!r} cannot be set aside: {error.strerror}") from error
    import logging  # ten milliseconds that hardly any run needs

    logging.getLogger(__name__).info("%s is %s now: %s", path, aside, reason)
    warn(f"the manifest {path} was set aside as {os.path.basename(aside)}: {reason}")
    manifest = _open_format(path, read_only=False)
    manifest.bind(storable(binding))
    return manifest


def _close_now(manifest: SqliteManifest | DocumentManifest) -> None:
    if isinstance(manifest, SqliteManifest):
        manifest.close_now()
