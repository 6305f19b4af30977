"""Resolves sources of the form ``catalog:org/name``, with the options that name the catalog."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from aios3sync._namedtuple import NamedTuple
from aios3sync.cli.option_group import option_group
from aios3sync.core.keys import CATALOG_SCHEME
from aios3sync.errors import UsageError

if TYPE_CHECKING:
    from aios3sync.session import Session

__all__ = ("CatalogSource", "catalog_source_of", "catalog_source_options", "use_hg_localization_settings")

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
_OPTIONS: Final = (
    click.option(
        "--source-catalog",
        metavar="s3://BUCKET[/PREFIX]",
        help="Of a source catalog:ID: where the catalog is, as for 'catalog list'.",
    ),
    click.option(
        "--source-kind",
        type=click.Choice(["datasets", "models"]),
        help="Of a source catalog:ID: which catalog (datasets).",
    ),
    click.option("--source-config", metavar="NAME", help="Of a source catalog:ID: its config."),
    click.option("--source-revision", metavar="NAME", help="Of a source catalog:ID: its revision."),
)
_NAMES: Final = ("catalog", "kind", "config", "revision")


def catalog_source_options(command: CommandT) -> CommandT:
    """Add the options of a command whose source may be an entry of a catalog."""
    return option_group(*_OPTIONS, title="Catalog")(command)


class CatalogSource(NamedTuple):
    """An entry of a catalog, as it was requested.

    Attributes:
        name: its id, or its key in the index.
        url: of the catalog; empty for the one that the environment names.
        kind: ``datasets`` or ``models``.
        config, revision: ``None`` for the default one.
        request_payer: pays for reading the catalog.
    """

    name: str
    url: str
    kind: Any
    config: str | None
    revision: str | None
    request_payer: bool

    async def locate(self, session: Session) -> str:
        """Return the location of its files, ``s3://bucket/prefix``.

        Raises:
            SourceError: there is no such entry.
            StoreError: the catalog cannot be read.
        """
        catalog = session.catalog(self.url, kind=self.kind, request_payer=self.request_payer)
        return await catalog.source(self.name, config=self.config, revision=self.revision)


def catalog_source_of(source: str, values: Mapping[str, Any]) -> CatalogSource | None:
    """Return the entry that a source names; ``None`` for any other source.

    The variables of HG-Localization apply from then on, as for the commands about catalogs.

    Raises:
        UsageError: options of a catalog are given to another source, or exclude each other.
    """
    given = {name: values.get(f"source_{name}") for name in _NAMES}
    if not source.startswith(CATALOG_SCHEME):
        for name, value in given.items():
            if value:
                raise UsageError(f"--source-{name}: the source is no entry of a catalog; name it catalog:ID")
        return None
    kind = given["kind"] or "datasets"
    if kind == "models" and given["config"]:
        raise UsageError("--source-config: models have no config; leave it out")
    from aios3sync.catalog.layout import setting

    url = given["catalog"] or ""
    if not url and not setting(os.environ, "S3_BUCKET_NAME"):
        raise UsageError(
            f"{source}: no catalog is named; give --source-catalog s3://BUCKET, or set "
            "AIOS3SYNC_S3_BUCKET_NAME"
        )
    use_hg_localization_settings()
    return CatalogSource(
        source.removeprefix(CATALOG_SCHEME),
        url,
        kind,
        given["config"],
        given["revision"],
        bool(values.get("request_payer")),
    )


def use_hg_localization_settings() -> None:
    """Use endpoint and credentials from the variables of HG-Localization where no others are set."""
    from aios3sync.catalog.layout import setting

    environ = os.environ
    pair = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if not environ.get("AWS_PROFILE") and not any(environ.get(name) for name in pair):
        found = {name: setting(environ, name) for name in pair}
        environ.update({name: value for name, value in found.items() if value})
    endpoint = setting(environ, "S3_ENDPOINT_URL")
    if endpoint and not (environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT_URL_S3")):
        environ["AWS_ENDPOINT_URL"] = endpoint
