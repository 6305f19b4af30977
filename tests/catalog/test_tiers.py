"""The three tiers of a listing, and which one answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aios3sync.errors import AccessDeniedError, CredentialsError, StoreError, UsageError
from aios3sync.testing.faulty import unavailable

if TYPE_CHECKING:
    from tests.catalog.conftest import Shop

INDEX = "private_datasets_index.json"


def entry(name: str, **more: Any) -> dict[str, Any]:
    """An entry as HG-Localization writes it."""
    return {
        "dataset_id": name,
        "config_name": None,
        "revision": None,
        "s3_prefix": f"{name.replace('/', '_')}/default_config/default_revision",
        "s3_bucket": "bucket",
        "has_card": True,
        "last_updated": "1770339600.5",
        **more,
    }


def index(count: int) -> dict[str, Any]:
    return {f"o/d{n}---default_config---default_revision": entry(f"o/d{n}") for n in range(count)}


async def test_ten_thousand_take_one_get_and_then_one_304(shop: Shop) -> None:
    await shop.put(INDEX, index(10_000))
    catalog = shop.catalog()
    cold = await catalog.list()
    assert (len(cold), cold.tier, cold.not_modified, cold.passed_over) == (10_000, "index", False, ())
    assert shop.store.keys == [("get", INDEX)]
    warm = await catalog.list()
    assert shop.store.keys == [("get", INDEX)] * 2
    assert (warm.entries, warm.not_modified) == (cold.entries, True)
    assert shop.metrics.as_dict()["not_modified"] == 1
    assert shop.metrics.gets_saved > 20_000


async def test_an_empty_index_is_an_answer(shop: Shop) -> None:
    await shop.put(INDEX, {})
    listing = await shop.catalog().list()
    assert (list(listing), listing.tier) == ([], "index")
    assert shop.store.calls["list_page"] == 0


async def test_an_index_that_changed_is_read_again(shop: Shop) -> None:
    await shop.put(INDEX, index(1))
    catalog = shop.catalog()
    await catalog.list()
    await shop.put(INDEX, index(2))
    again = await catalog.list()
    assert (len(again), again.not_modified) == (2, False)


async def test_without_an_index_the_folders_are_listed(shop: Shop) -> None:
    await shop.put("org_a/default_config/default_revision/dataset_info.json")
    await shop.put("org_a/default_config/default_revision/dataset_card.md")
    await shop.put("plain/en/v1/dataset_dict.json")
    await shop.put("photos/2020/01/a.jpg")
    await shop.put("models/org_m/default_revision/config.json")
    await shop.put("public_datasets_zip/a---b---c.zip")
    listing = await shop.catalog().list()
    assert listing.tier == "scan"
    assert [(one.tier, one.reason) for one in listing.passed_over] == [("index", "missing")]
    found = [(e.id, e.config_name, e.revision, e.has_card, dict(e.extra)) for e in listing]  # type: ignore[union-attr]
    assert found == [("org/a", None, None, True, {"id_guessed": True}), ("plain", "en", "v1", False, {})]
    assert shop.store.calls["head"] == 0
    models = await shop.catalog("models").list()
    assert [(model.id, model.s3_prefix) for model in models] == [("org/m", "models/org_m/default_revision")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AccessDeniedError("no", status=403), "denied"),
        (CredentialsError("none"), "credentials"),
        (unavailable(), "unavailable"),
    ],
    ids=["denied", "credentials", "unavailable"],
)
async def test_the_public_manifest_comes_last(shop: Shop, error: StoreError, reason: str) -> None:
    await shop.put("public_datasets.json", {"k": {"dataset_id": "p", "s3_zip_key": "z", "s3_bucket": "b"}})
    shop.public_is_open = True
    shop.store.on("get", error=error, times=-1)
    shop.store.on("list_page", error=error, times=-1)
    listing = await shop.catalog().list()
    assert (listing.tier, [one.id for one in listing]) == ("public", ["p"])
    assert [(one.tier, one.reason) for one in listing.passed_over] == [("index", reason), ("scan", reason)]
    assert shop.metrics.fallbacks == {f"index:{reason}": 1, f"scan:{reason}": 1}


async def test_when_no_tier_answers_the_error_has_the_first_reason(shop: Shop) -> None:
    shop.store.on("list_page", error=unavailable(), times=-1)
    with pytest.raises(StoreError, match="not available"):
        await shop.catalog().list()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"\x1f\x8bno"], ids=repr)
async def test_a_corrupt_index_is_reported_and_not_changed(shop: Shop, body: bytes) -> None:
    await shop.put(INDEX, body)
    await shop.put("d/default_config/default_revision/x")
    listing = await shop.catalog().list()
    assert [(one.tier, one.reason) for one in listing.passed_over] == [("index", "corrupt")]
    assert [one.id for one in listing] == ["d"]
    assert shop.memory.objects[INDEX].body == body
    assert shop.store.calls["put"] == 0


async def test_values_that_are_no_entries_are_named(shop: Shop) -> None:
    await shop.put(INDEX, {**index(1), "odd": 7, "older": {"s3_prefix": "x"}})
    listing = await shop.catalog().list()
    assert (len(listing), listing.unreadable) == (1, ("odd", "older"))


async def test_one_tier_alone(shop: Shop) -> None:
    await shop.put(INDEX, index(3))
    assert (await shop.catalog().list(tier="scan")).entries == ()
    with pytest.raises(UsageError, match="none of"):
        await shop.catalog().list(tier="fast")
    with pytest.raises(StoreError):
        await shop.catalog().list(tier="public")


PUBLIC = "public_datasets.json"


def public(name: str, **more: Any) -> dict[str, Any]:
    """An entry as HG-Localization writes it to the public manifest."""
    return {
        "dataset_id": name,
        "config_name": None,
        "revision": None,
        "s3_zip_key": "z",
        "s3_bucket": "bucket",
        **more,
    }


@pytest.mark.parametrize("way", ["index", "scan"])
async def test_all_is_the_private_catalog_and_the_public_manifest(shop: Shop, way: str) -> None:
    if way == "index":
        await shop.put(INDEX, {"a": entry("o/both"), "b": entry("o/private", revision="v2")})
    else:
        await shop.put("o_both/default_config/default_revision/dataset_info.json")
        await shop.put("o_private/default_config/v2/dataset_info.json")
    await shop.put(PUBLIC, {"x": public("o/public"), "y": public("o/both"), "z": public("o/private")})
    shop.public_is_open = True
    listing = await shop.catalog().list(tier="all")
    assert listing.tier == "all"
    found = [(one.id, one.revision, one.extra.get("is_public", False)) for one in listing]
    assert found == [
        ("o/both", None, True),
        ("o/private", "v2", False),
        ("o/public", None, True),
        ("o/private", None, True),
    ]
    both = listing.entries[0]
    assert (both.s3_prefix, both.extra["s3_zip_key"]) == ("o_both/default_config/default_revision", "z")
    assert [one.tier for one in listing.passed_over] == ([] if way == "index" else ["index"])


async def test_all_without_a_public_manifest_is_the_private_catalog(shop: Shop) -> None:
    await shop.put(INDEX, index(2))
    shop.public_is_open = True
    listing = await shop.catalog().list(tier="all")
    assert (len(listing), listing.tier, listing.passed_over) == (2, "all", ())


async def test_all_says_which_of_the_two_did_not_answer(shop: Shop) -> None:
    await shop.put(INDEX, index(2))
    await shop.put(PUBLIC, {"x": public("o/public")})
    assert len(await shop.catalog().list(tier="all")) == 3, "our own credentials may read it"
    shop.store.on("get", key=PUBLIC, error=AccessDeniedError("no", status=403), times=-1)
    listing = await shop.catalog().list(tier="all")
    assert (len(listing), [(one.tier, one.reason) for one in listing.passed_over]) == (
        2,
        [("public", "denied")],
    )
    shop.public_is_open = True
    for verb in ("get", "list_page"):
        shop.store.on(verb, error=AccessDeniedError("no", status=403), times=-1)
    listing = await shop.catalog().list(tier="all")
    assert [one.id for one in listing] == ["o/public"]
    assert [(one.tier, one.reason) for one in listing.passed_over] == [
        ("index", "denied"),
        ("scan", "denied"),
    ]


@pytest.mark.parametrize("tier", ["auto", "all"])
async def test_when_all_are_denied_the_error_names_all(shop: Shop, tier: str) -> None:
    for verb in ("get", "list_page"):
        error = AccessDeniedError(f"no {verb}", code="AccessDenied", status=403)
        shop.store.on(verb, error=error, times=-1)
    with pytest.raises(AccessDeniedError) as caught:
        await shop.catalog().list(tier=tier)
    text = str(caught.value)
    for words in (
        "the index (denied): no get",
        "a scan (denied): no list_page",
        "the public manifest (denied)",
    ):
        assert words in text
    assert (caught.value.status, caught.value.message) == (403, text)


async def test_a_public_manifest_that_was_not_read_is_named(shop: Shop) -> None:
    await shop.put(INDEX, index(1))
    catalog = shop.catalog()
    listing = await catalog.list()
    assert await catalog.unread(listing) == ""
    await shop.put(PUBLIC, {})
    assert await catalog.unread(listing) == "s3://bucket/public_datasets.json"
    shop.public_is_open = True
    for tier in ("public", "all"):
        assert await catalog.unread(await catalog.list(tier=tier)) == ""


async def test_names_of_the_environment(shop: Shop) -> None:
    await shop.put("lake/mine.json", index(2))
    environ = {"HGLOC_S3_DATA_PREFIX": "/lake/", "HGLOC_PRIVATE_DATASETS_INDEX_KEY": "theirs.json"}
    ours = {**environ, "AIOS3SYNC_PRIVATE_DATASETS_INDEX_KEY": "mine.json"}
    assert len(await shop.catalog(environ=ours).list()) == 2
    await shop.put("lake/theirs.json", index(1))
    assert len(await shop.catalog(environ=environ).list()) == 1
