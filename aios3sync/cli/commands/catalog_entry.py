"""Reads the entry of a catalog from options and from a field of a job; sends no request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from aios3sync.cli.option_group import option_group
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from aios3sync.catalog import DatasetEntry, ModelEntry, Registration

__all__ = (
    "entry_of",
    "registration_of_document",
    "registration_of_options",
    "registration_options",
)

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
_FIELDS: Final = {
    "dataset_id": "dataset",
    "model_id": "model",
    "config_name": "config",
    "revision": "revision",
}
"""The fields of an entry, and their names in options and documents."""
_NAMES: Final = tuple(_FIELDS.values())
_MORE: Final[dict[str, type]] = {"public": bool, "acl": str, "url": str, "replicas": list}
_SHAPES: Final[dict[type, str]] = {str: "a text", bool: "true or false", list: "a list of texts"}
_OPTIONS: Final = (
    click.option(
        "--catalog-dataset",
        metavar="ID",
        help="Add the files, once all are uploaded, to the catalog of datasets in the bucket.",
    ),
    click.option("--catalog-model", metavar="ID", help="The same for the catalog of models."),
    click.option("--catalog-config", metavar="NAME", help="The config of the dataset (the default one)."),
    click.option("--catalog-revision", metavar="NAME", help="The revision (the default one)."),
    click.option(
        "--catalog-url",
        metavar="s3://BUCKET[/PREFIX]",
        help="Where the catalog is, if not in the root of the bucket.",
    ),
    click.option(
        "--catalog-public", is_flag=True, default=None, help="Add it to the public manifest as well."
    ),
    click.option("--catalog-acl", metavar="ACL", help="The ACL of the public manifest: public-read."),
    click.option(
        "--catalog-replica",
        "catalog_replicas",
        multiple=True,
        metavar="s3://BUCKET[/PREFIX]",
        help="Change this copy of the catalog as well.",
    ),
)


def registration_options(command: CommandT) -> CommandT:
    """Add the options of a command that registers what it synced in a catalog."""
    return option_group(*_OPTIONS, title="Catalog")(command)


def registration_of_options(values: Mapping[str, Any]) -> Registration | None:
    """Return the registration from :func:`registration_options`; ``None`` if no option was given.

    Raises:
        UsageError: they name no entry, two entries, or an invalid one.
    """
    given = {
        name.removeprefix("catalog_"): value
        for name, value in values.items()
        if name.startswith("catalog_") and value not in (None, ())
    }
    spelled = {name: f"--catalog-{'replica' if name == 'replicas' else name}" for name in (*_NAMES, *_MORE)}
    return _registration(given, spelled) if given else None


def registration_of_document(document: Any) -> Registration:
    """Return the registration of the field ``catalog`` of a job, for example ``{"dataset": "org/name"}``.

    Raises:
        UsageError: the value is invalid; the message begins with the name of the invalid field.
    """
    if not isinstance(document, dict):
        raise UsageError('must be an object such as {"dataset": "org/name"}')
    known = (*_NAMES, *_MORE)
    given = {name: value for name, value in document.items() if value is not None}
    for name, value in given.items():
        shape = _MORE.get(name, str)
        if name not in known:
            raise UsageError(f"{name}: unknown field; known are: {', '.join(known)}")
        if not isinstance(value, shape) or not all(isinstance(one, str) for one in _items(value)):
            raise UsageError(f"{name}: must be {_SHAPES[shape]}")
    return _registration(given, {name: name for name in known})


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _registration(given: Mapping[str, Any], spelled: Mapping[str, str]) -> Registration:
    from aios3sync.catalog import Registration

    named = [name for name in ("dataset", "model") if name in given]
    if len(named) != 1:
        one, other = spelled["dataset"], spelled["model"]
        if named:
            raise UsageError(f"{one}: excludes {other}; give one of them")
        raise UsageError(
            f"{spelled[next(iter(given), 'dataset')]}: belongs to an entry; give {one} or {other} as well"
        )
    entry = entry_of(
        f"{named[0]}s", given[named[0]], given.get("config"), given.get("revision"), spelled=spelled
    )
    if given.get("acl") and not given.get("public"):
        raise UsageError(
            f"{spelled['acl']}: applies to the public manifest; give {spelled['public']} as well"
        )
    return Registration(
        entry,
        public=given.get("public", False),
        acl=given.get("acl", ""),
        replicas=tuple(given.get("replicas", ())),
        catalog=given.get("url", ""),
    )


def entry_of(
    kind: str,
    name: str,
    config: str | None,
    revision: str | None,
    place: str = "",
    *,
    spelled: Mapping[str, str],
) -> DatasetEntry | ModelEntry:
    """Return an entry of the kind ``datasets`` or ``models``.

    Args:
        kind: of the catalog.
        name: its id.
        config: ``None`` is the default one, the only one that models have.
        revision: ``None`` is the default one.
        place: the prefix of its files; empty for the one that follows from its names.
        spelled: the user's names for ``dataset``, ``model``, ``config`` and ``revision``.

    Raises:
        UsageError: a name is invalid.
    """
    from aios3sync.catalog import DatasetEntry, ModelEntry

    if kind == "models" and config is not None:
        raise UsageError(f"{spelled['config']}: models have no config; leave it out")
    try:
        if kind == "models":
            return ModelEntry(name, revision, place)
        return DatasetEntry(name, config, revision, place)
    except UsageError as error:
        field, _, reason = str(error).partition(": ")
        raise UsageError(f"{spelled[_FIELDS[field]]}: {reason}") from None
