"""An entry by its name: the one that is meant, or an error that names near ones."""

from __future__ import annotations

import pytest

from aios3sync.catalog import DatasetEntry, ModelEntry
from aios3sync.catalog.entries import Entry
from aios3sync.catalog.layout import Layout
from aios3sync.catalog.lookup import entry_named, near_names
from aios3sync.errors import SourceError
from tests.catalog.conftest import Shop

LAYOUT = Layout.of("", {})
ENTRIES: list[Entry] = [
    DatasetEntry("org/cats"),
    DatasetEntry("org/cats", "en"),
    DatasetEntry("org/cats", "en", "v2"),
    DatasetEntry("org/dogs", "de", "v1"),
    DatasetEntry("org/dogs", "fr", "v1"),
    DatasetEntry("other/Birds"),
    DatasetEntry("large"),
]


def named(name: str, config: str | None = None, revision: str | None = None) -> Entry:
    return entry_named(ENTRIES, LAYOUT, name, location="s3://b/i", config=config, revision=revision)


@pytest.mark.parametrize(
    ("name", "config", "revision", "place"),
    [
        ("org/cats", None, None, 0),  # of several versions the default one
        ("org/cats", "en", None, 1),
        ("org/cats", "en", "v2", 2),
        ("org/cats", None, "v2", 2),
        ("org/cats---en---v2", None, None, 2),
        ("org/dogs", "fr", None, 4),
        ("large", None, None, 6),
        ("large", "default_config", "default_revision", 6),
    ],
)
def test_a_name_means_one_entry(name: str, config: str | None, revision: str | None, place: int) -> None:
    assert named(name, config, revision) is ENTRIES[place]


def test_models_have_no_config() -> None:
    models: list[Entry] = [ModelEntry("m"), ModelEntry("m", "v1")]
    assert entry_named(models, LAYOUT, "m", location="", revision="v1") is models[1]
    assert entry_named(models, LAYOUT, "m", location="") is models[0]


@pytest.mark.parametrize(
    ("name", "config", "text"),
    [
        ("org/cat", None, r"s3://b/i has no 'org/cat'; near to it: 'org/cats'"),
        ("dogs", None, r"near to it: 'org/dogs'"),
        ("org/birds", None, r"near to it: 'other/Birds'"),
        ("nothing like it", None, r"has no 'nothing like it'; 'aios3sync catalog list'"),
        ("org/dogs", None, r"several versions, name one: 'org/dogs---de---v1', 'org/dogs---fr---v1'"),
        ("org/cats", "xx", r"no such version; it has 'org/cats---default_config---default_revision', 'o"),
    ],
)
def test_else_the_error_names_some(name: str, config: str | None, text: str) -> None:
    with pytest.raises(SourceError, match=text):
        named(name, config)


def test_there_are_few_names_in_an_error() -> None:
    many: list[Entry] = [DatasetEntry(f"org/d{number:03}") for number in range(500)]
    assert len(near_names(many, LAYOUT, "org/d")) == 3
    versions: list[Entry] = [DatasetEntry("d", f"c{number:03}") for number in range(500)]
    with pytest.raises(SourceError, match="and 490 more") as raised:
        entry_named(versions, LAYOUT, "d", location="")
    assert len(str(raised.value)) < 1000


async def test_the_source_of_a_sync(shop: Shop) -> None:
    catalog = shop.catalog(prefix="lake/")
    await shop.put("lake/org_d/default_config/default_revision/file")
    await shop.put("odd place/file")
    await catalog.add(
        DatasetEntry("org/d"),
        DatasetEntry("at", s3_prefix="odd place/"),
        DatasetEntry("elsewhere", s3_prefix="x/y", s3_bucket="other"),
    )
    catalog = shop.catalog(prefix="lake/")
    assert await catalog.source("org/d") == "s3://bucket/lake/org_d/default_config/default_revision"
    assert await catalog.source("at") == "s3://bucket/odd place"
    assert await catalog.source("elsewhere") == "s3://other/x/y"
    found = await catalog.find("org/d", revision="default_revision")
    assert (found.id, found.s3_bucket) == ("org/d", "bucket")
    with pytest.raises(SourceError, match="near to it: 'org/d'"):
        await catalog.source("d")
