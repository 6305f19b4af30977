"""The entries of the catalog: datasets and models, as frozen values; pure. Unknown fields are kept.

The fields are those of HG-Localization's ``private_datasets_index.json`` and ``private_models_index.json``.
Its documents hold JSON booleans; text such as ``"true"``, which its documentation shows, is read as well.
Some fields are derived from the names of the files of an entry: see :func:`with_facts`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from aios3sync._dataclass import dataclass, field, replace
from aios3sync.errors import UsageError

__all__ = (
    "DatasetEntry",
    "Entry",
    "ModelEntry",
    "Registration",
    "is_full_model",
    "read_entry",
    "with_facts",
)

_TRUE: Final = frozenset({"true", "1", "yes"})
_CARDS: Final = frozenset({"README.md", "readme.md"})
_WEIGHTS: Final = frozenset({"pytorch_model.bin", "model.safetensors"})
_TOKENIZERS: Final = frozenset({"tokenizer.json", "tokenizer_config.json"})
# https://huggingface.co/docs/transformers/big_models: model-00001-of-00003.safetensors
_SHARD: Final = re.compile(
    r"(?P<stem>model|pytorch_model)-(?P<number>\d{5})-of-(?P<of>\d{5})\.(?P<ending>safetensors|bin)"
)


def _check_names(entry: Any, name: str) -> None:
    value = getattr(entry, name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name}: an entry of the catalog needs one, not {value!r}")
    for optional in ("config_name", "revision"):
        text = getattr(entry, optional, None)
        if text is not None and (not isinstance(text, str) or not text):
            raise UsageError(f"{optional}: {text!r} is no name; leave it out for the default")


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """One version of a dataset.

    Attributes:
        dataset_id: any text, usually ``org/name``.
        config_name, revision: ``None`` is the default one.
        s3_prefix: of its files, without a slash at the end; empty means the prefix that its names result in.
        s3_bucket: of its files; empty means that of the catalog.
        has_card: whether there is a ``dataset_card.md`` or a ``README.md``.
        last_updated: opaque text; seconds since the epoch where this package wrote it.
        extra: unknown fields, kept as they are.
    """

    dataset_id: str
    config_name: str | None = None
    revision: str | None = None
    s3_prefix: str = ""
    s3_bucket: str = ""
    has_card: bool = False
    last_updated: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_names(self, "dataset_id")

    @property
    def id(self) -> str:
        """The id, for entries of either kind."""
        return self.dataset_id

    def as_document(self) -> dict[str, Any]:
        """Return the entry as it is written to the index."""
        return _document(self)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One version of a model; the other fields are those of :class:`DatasetEntry`.

    Attributes:
        has_config: whether there is a ``config.json``.
        has_tokenizer: whether there is a ``tokenizer.json`` or a ``tokenizer_config.json``.
        is_full_model: whether all parts of the weights are there.
    """

    model_id: str
    revision: str | None = None
    s3_prefix: str = ""
    s3_bucket: str = ""
    has_card: bool = False
    has_config: bool = False
    has_tokenizer: bool = False
    is_full_model: bool = False
    last_updated: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_names(self, "model_id")

    @property
    def id(self) -> str:
        """The id, for entries of either kind."""
        return self.model_id

    def as_document(self) -> dict[str, Any]:
        """Return the entry as it is written to the index."""
        return _document(self)


Entry = DatasetEntry | ModelEntry


@dataclass(frozen=True, slots=True)
class Registration:
    """An entry that a sync adds to a catalog, and the documents that it is written to besides the index.

    Attributes:
        entry: that describes the synced files.
        public: whether to add it to the public manifest as well.
        acl: the canned ACL of public documents, e.g. ``public-read``; empty where a bucket policy grants
            access.
        replicas: further locations, ``s3://bucket/prefix``.
        catalog: the location of the catalog, ``s3://bucket/prefix`` in the bucket of the target; empty means
            the top of the bucket.
    """

    entry: Entry
    public: bool = False
    acl: str = ""
    replicas: Sequence[str] = ()
    catalog: str = ""


def read_entry(kind: type[DatasetEntry] | type[ModelEntry], document: Any) -> Entry | None:
    """Parse a value of the index as an entry; ``None`` where it is not one."""
    if not isinstance(document, dict):
        return None
    known = {one.name: one for one in fields(kind) if one.name != "extra"}
    values: dict[str, Any] = {}
    for name, one in known.items():
        value = document.get(name)
        if one.type == "bool":
            values[name] = value is True or str(value).lower() in _TRUE
        elif value is None or value == "":
            values[name] = None if one.type == "str | None" else ""
        else:
            values[name] = str(value)
    extra = {name: value for name, value in document.items() if name not in known}
    try:
        return kind(**values, extra=extra)
    except UsageError:
        return None


def _document(entry: Entry) -> dict[str, Any]:
    own = {one.name: getattr(entry, one.name) for one in fields(entry) if one.name != "extra"}
    return {**own, **{name: value for name, value in entry.extra.items() if name not in own}}


def is_full_model(names: Collection[str]) -> bool:
    """Whether the weights are complete: one file, or every part of a numbered set."""
    if not _WEIGHTS.isdisjoint(names):
        return True
    sets: dict[tuple[str, int, str], set[int]] = {}
    for name in names:
        if match := _SHARD.fullmatch(name):
            which = (match["stem"], int(match["of"]), match["ending"])
            sets.setdefault(which, set()).add(int(match["number"]))
    return any(of > 0 and parts >= set(range(1, of + 1)) for (_, of, _), parts in sets.items())


def with_facts(entry: Entry, names: Collection[str]) -> Entry:
    """Return the entry with the fields that are derived from the names of its files."""
    present = frozenset(names)
    if isinstance(entry, DatasetEntry):
        return replace(entry, has_card=not present.isdisjoint(_CARDS | {"dataset_card.md"}))
    return replace(
        entry,
        has_card=not present.isdisjoint(_CARDS | {"model_card.md"}),
        has_config="config.json" in present,
        has_tokenizer=not present.isdisjoint(_TOKENIZERS),
        is_full_model=is_full_model(present),
    )
