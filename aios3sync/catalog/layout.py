r"""Where the catalog and what it names lie in a bucket, as HG-Localization lays them out; pure.

Its keys and its folder names lose something. An entry's key joins raw names with ``---``, which may stand in
a name, so two entries can have one key: the second one then gets a key with a digest at its end, and entries
are always recognised by their fields. Folder names replace ``/ \ : * ? " < > |`` and the blank by ``_``, so
two ids can have one folder: a change says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aios3sync.catalog.entries import DatasetEntry, Entry, ModelEntry, read_entry
from aios3sync.errors import UsageError

__all__ = ("DATASETS", "KINDS", "MODELS", "SEPARATOR", "Kind", "Layout", "kind_of", "setting")

SEPARATOR: Final = "---"
_UNSAFE: Final = str.maketrans(dict.fromkeys('/\\:*?"<>| ', "_"))
_PREFIXES: Final = ("AIOS3SYNC_", "HGLOC_")


@dataclass(frozen=True, slots=True)
class Kind:
    """Datasets or models.

    Attributes:
        name: ``datasets`` or ``models``.
        entry: its class.
        root: of the folders, below the prefix.
        levels: of folders, from the id to the revision.
        markers: files that show that a folder is one of the kind.
    """

    name: str
    entry: type[DatasetEntry] | type[ModelEntry]
    root: str
    levels: int
    markers: frozenset[str]

    def read(self, document: Any) -> Entry | None:
        """See :func:`~aios3sync.catalog.entries.read_entry`."""
        return read_entry(self.entry, document)


DATASETS: Final = Kind(
    "datasets", DatasetEntry, "", 3, frozenset({"dataset_card.md", "dataset_dict.json", "dataset_info.json"})
)
MODELS: Final = Kind("models", ModelEntry, "models/", 2, frozenset({"config.json", "model_card.md"}))
KINDS: Final[Mapping[str, Kind]] = {"datasets": DATASETS, "models": MODELS}


def kind_of(entry: Entry) -> Kind:
    """The kind of an entry."""
    return DATASETS if isinstance(entry, DatasetEntry) else MODELS


def setting(environ: Mapping[str, str], name: str, default: str = "") -> str:
    """A setting of the environment: ``AIOS3SYNC_name``, else ``HGLOC_name``."""
    return next((environ[full] for full in (p + name for p in _PREFIXES) if environ.get(full)), default)


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of everything below one prefix.

    Attributes:
        prefix: empty or ending in ``/``.
        default_config, default_revision: what stands for ``None``.
        names: of the index and of the public manifest, by kind.
        zips: folder of public archives.
    """

    prefix: str
    default_config: str
    default_revision: str
    names: Mapping[str, tuple[str, str]]
    zips: str

    @classmethod
    def of(cls, prefix: str, environ: Mapping[str, str]) -> Layout:
        """The layout below ``prefix``; where that is empty, below the prefix of the environment."""
        below = (prefix or setting(environ, "S3_DATA_PREFIX")).strip("/")
        names = {
            kind: (
                setting(environ, f"PRIVATE_{kind.upper()}_INDEX_KEY", f"private_{kind}_index.json"),
                setting(environ, f"PUBLIC_{kind.upper()}_JSON_KEY", f"public_{kind}.json"),
            )
            for kind in KINDS
        }
        return cls(
            f"{below}/" if below else "",
            setting(environ, "DEFAULT_CONFIG_NAME", "default_config"),
            setting(environ, "DEFAULT_REVISION_NAME", "default_revision"),
            names,
            setting(environ, "PUBLIC_DATASETS_ZIP_DIR_PREFIX", "public_datasets_zip").strip("/"),
        )

    def index_key(self, kind: Kind) -> str:
        """The key of the private index."""
        return self.prefix + self.names[kind.name][0]

    def public_key(self, kind: Kind) -> str:
        """The key of the public manifest."""
        return self.prefix + self.names[kind.name][1]

    def own(self, kind: Kind) -> str:
        """The folder of what only this package reads; no sync ever deletes below it."""
        return f"{self.prefix}.aios3sync/catalog/{kind.name}/"

    def beside(self, kind: Kind, key: str) -> str:
        """The folder of what belongs to the document ``key`` alone, such as its shards."""
        return f"{self.own(kind)}{key.removeprefix(self.prefix)}/"

    def names_of(self, entry: Entry) -> tuple[str, ...]:
        """Id, configuration and revision with the defaults in place."""
        revision = entry.revision or self.default_revision
        if isinstance(entry, DatasetEntry):
            return entry.dataset_id, entry.config_name or self.default_config, revision
        return entry.model_id, revision

    def entry_key(self, entry: Entry) -> str:
        """The key of an entry in a document, as the original makes it."""
        return SEPARATOR.join(self.names_of(entry))

    def place(self, entry: Entry, document: Mapping[str, Any]) -> tuple[str, bool]:
        """The key of this very entry in a document, or the one to use for it; and whether it is there."""
        kind, plain, wanted = kind_of(entry), self.entry_key(entry), self.names_of(entry)
        keys = (plain, *(f"{plain}{SEPARATOR}{_digest(wanted, length)}" for length in (8, 64)))
        for key in keys:
            found = kind.read(document.get(key))
            if found is not None and self.names_of(found) == self.names_of(entry):
                return key, True
        return next((key for key in keys if key not in document), keys[-1]), False

    def folder(self, entry: Entry) -> str:
        """Where the files of an entry belong, without a slash at the end."""
        parts = [name.translate(_UNSAFE) for name in self.names_of(entry)]
        if any(part in (".", "..") for part in parts):
            raise UsageError(f"{entry.id!r}: a folder cannot be called '.' or '..'; choose another name")
        return self.prefix + kind_of(entry).root + "/".join(parts)

    def zip_key(self, entry: DatasetEntry) -> str:
        """The key of the public archive, relative to the prefix."""
        return f"{self.zips}/{SEPARATOR.join(n.translate(_UNSAFE) for n in self.names_of(entry))}.zip"

    def entry_of(self, kind: Kind, folders: list[str]) -> Entry:
        """The entry that lies in folders of these names; the id is a guess where it holds a ``_``.

        The last ``_`` is taken for a ``/``, as the original does; the extra field ``id_guessed`` says so.
        """
        name, *rest = folders
        extra = {"id_guessed": True} if "_" in name else {}
        before, mark, after = name.rpartition("_")
        restored = f"{before}/{after}" if mark and before and after else name
        revision = None if rest[-1] == self.default_revision else rest[-1]
        prefix = self.prefix + kind.root + "/".join(folders)
        if kind is MODELS:
            return ModelEntry(restored, revision, prefix, extra=extra)
        config = None if rest[0] == self.default_config else rest[0]
        return DatasetEntry(restored, config, revision, prefix, extra=extra)


def _digest(names: tuple[str, ...], length: int) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:length]
