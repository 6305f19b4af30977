r"""The keys and folders of the catalog in a bucket, as HG-Localization defines them; pure.

Neither keys nor folder names are unique. The key of an entry joins raw names with ``---``, which a name may
contain, so two entries can have one key: the second one then gets a key with a digest at its end, and entries
are always recognised by their fields. Folder names replace ``/ \ : * ? " < > |`` and the blank by ``_``, so
two ids can have one folder: a change reports that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from aios3sync._dataclass import dataclass
from aios3sync.catalog.entries import DatasetEntry, Entry, ModelEntry, read_entry
from aios3sync.errors import UsageError
from aios3sync.options import VARIABLES

__all__ = ("DATASETS", "KINDS", "MODELS", "SEPARATOR", "Kind", "Layout", "kind_of", "setting")

SEPARATOR: Final = "---"
_UNSAFE: Final = str.maketrans(dict.fromkeys('/\\:*?"<>| ', "_"))
_PREFIXES: Final = (VARIABLES, "HGLOC_")


@dataclass(frozen=True, slots=True)
class Kind:
    """Datasets or models.

    Attributes:
        name: ``datasets`` or ``models``.
        entry: the class of its entries.
        root: of its folders, below the prefix.
        levels: of folders, from the id to the revision.
        markers: names of files that mark a folder as one of this kind.
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
    """Return the kind of an entry."""
    return DATASETS if isinstance(entry, DatasetEntry) else MODELS


def setting(environ: Mapping[str, str], name: str, default: str = "") -> str:
    """Return a setting of the environment: ``AIOS3SYNC_name``, else ``HGLOC_name``."""
    return next((environ[full] for full in (p + name for p in _PREFIXES) if environ.get(full)), default)


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys and folders below one prefix.

    Attributes:
        prefix: empty or ending in ``/``.
        default_config, default_revision: the names that are written for ``None``.
        names: of the index and of the public manifest, by kind.
        zips: the folder of public archives.
    """

    prefix: str
    default_config: str
    default_revision: str
    names: Mapping[str, tuple[str, str]]
    zips: str

    @classmethod
    def of(cls, prefix: str, environ: Mapping[str, str]) -> Layout:
        """Return the layout below ``prefix``; where that is empty, below the prefix of the environment."""
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
        """Return the key of the private index."""
        return self.prefix + self.names[kind.name][0]

    def public_key(self, kind: Kind) -> str:
        """Return the key of the public manifest."""
        return self.prefix + self.names[kind.name][1]

    def own(self, kind: Kind) -> str:
        """Return the folder of objects that only this package reads; no sync ever deletes below it."""
        return f"{self.prefix}.aios3sync/catalog/{kind.name}/"

    def document_folder(self, kind: Kind, key: str) -> str:
        """Return the folder of objects that belong to the document ``key`` alone, such as its shards."""
        return f"{self.own(kind)}{key.removeprefix(self.prefix)}/"

    def names_of(self, entry: Entry) -> tuple[str, ...]:
        """Return id, configuration and revision, with the names of the defaults."""
        revision = entry.revision or self.default_revision
        if isinstance(entry, DatasetEntry):
            return entry.dataset_id, entry.config_name or self.default_config, revision
        return entry.model_id, revision

    def entry_key(self, entry: Entry) -> str:
        """Return the key of an entry in a document, as HG-Localization writes it."""
        return SEPARATOR.join(self.names_of(entry))

    def place(self, entry: Entry, document: Mapping[str, Any]) -> tuple[str, bool]:
        """Return the key of an entry in a document, or the key to use for it; and whether it is in there."""
        kind, plain, wanted = kind_of(entry), self.entry_key(entry), self.names_of(entry)
        keys = (plain, *(f"{plain}{SEPARATOR}{_digest(wanted, length)}" for length in (8, 64)))
        for key in keys:
            found = kind.read(document.get(key))
            if found is not None and self.names_of(found) == self.names_of(entry):
                return key, True
        return next((key for key in keys if key not in document), keys[-1]), False

    def folder(self, entry: Entry) -> str:
        """Return the folder of the files of an entry, without a slash at the end."""
        parts = [name.translate(_UNSAFE) for name in self.names_of(entry)]
        if any(part in (".", "..") for part in parts):
            raise UsageError(f"{entry.id!r}: a folder cannot be called '.' or '..'; choose another name")
        return self.prefix + kind_of(entry).root + "/".join(parts)

    def zip_key(self, entry: DatasetEntry) -> str:
        """Return the key of the public archive, relative to the prefix."""
        return f"{self.zips}/{SEPARATOR.join(n.translate(_UNSAFE) for n in self.names_of(entry))}.zip"

    def entry_of(self, kind: Kind, folders: list[str]) -> Entry:
        """Return the entry of folders with these names; the id is a guess where it contains a ``_``.

        The last ``_`` is read as ``/``, as HG-Localization does; the extra field ``id_guessed`` marks that.
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
