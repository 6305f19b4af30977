"""Changes: compare-and-swap, lost responses, corrupt documents, endpoints without conditions, replicas."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aios3sync.catalog import DatasetEntry, ModelEntry
from aios3sync.catalog import format as document
from aios3sync.catalog import update as writing
from aios3sync.errors import AccessDeniedError, PreconditionFailedError, StoreError, UsageError
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.store.wrappers.base import ForwardingStore
from aios3sync.testing.faulty import unavailable
from aios3sync.testing.memory import MemoryStore

if TYPE_CHECKING:
    from tests.catalog.conftest import Shop

INDEX = "private_datasets_index.json"
HOSTILE = ["a---b", "---", "org/ü 😀", "sl/a/sh", "\"quotes'", "x\ny", "ends---", "\ud800"]


async def test_documents_are_those_that_the_original_reads(shop: Shop) -> None:
    await shop.put("P/org_a/en/v1/dataset_card.md")
    change = await shop.catalog(prefix="P").add(DatasetEntry("org/a", "en", "v1"))
    assert change.location == "s3://bucket/P/private_datasets_index.json"
    (key, value) = next(iter(shop.read(f"P/{INDEX}").items()))
    assert key == "org/a---en---v1"
    assert list(value) == [
        *("dataset_id", "config_name", "revision", "s3_prefix", "s3_bucket", "has_card", "last_updated")
    ]
    assert (value["s3_prefix"], value["s3_bucket"], value["has_card"]) == ("P/org_a/en/v1", "bucket", True)
    assert float(value["last_updated"]) > 0
    stored = shop.memory.objects[f"P/{INDEX}"]
    assert (stored.options.content_type, stored.options.content_encoding) == ("application/json", "")


async def test_models_derive_their_facts(shop: Shop) -> None:
    place = "models/org_m/default_revision/"
    for name in ("config.json", "tokenizer_config.json", "model-00001-of-00002.safetensors", "model_card.md"):
        await shop.put(place + name)
    await shop.catalog("models").add(ModelEntry("org/m"))
    value = shop.read("private_models_index.json")["org/m---default_revision"]
    facts = [value[name] for name in ("has_card", "has_config", "has_tokenizer", "is_full_model")]
    assert facts == [True, True, True, False]
    await shop.put(place + "model-00002-of-00002.safetensors")
    await shop.catalog("models").add(ModelEntry("org/m"))
    assert shop.read("private_models_index.json")["org/m---default_revision"]["is_full_model"] is True


async def test_unknown_fields_and_values_are_kept(shop: Shop) -> None:
    key = "d---default_config---default_revision"
    await shop.put(INDEX, {key: {"dataset_id": "d", "s3_prefix": "old", "theirs": [1]}, "odd": 7})
    await shop.catalog().add(DatasetEntry("d", extra={"mine": {"a": None}}))
    written = shop.read()
    assert (written["odd"], written[key]["theirs"], written[key]["mine"]) == (7, [1], {"a": None})
    assert written[key]["s3_prefix"] == "d/default_config/default_revision"
    (entry,) = await shop.catalog().list()
    assert dict(entry.extra) == {"theirs": [1], "mine": {"a": None}}


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
async def test_hostile_names_come_back(shop: Shop, name: str) -> None:
    catalog = shop.catalog()
    entry = DatasetEntry(name, s3_prefix="somewhere")
    await catalog.add(entry, DatasetEntry("other"))
    assert {one.id for one in await catalog.list()} == {name, "other"}
    assert [one.id for one in await catalog.show(name)] == [name]
    await catalog.remove(entry)
    assert {one.id for one in await catalog.list()} == {"other"}


async def test_two_entries_with_one_key_are_both_kept(shop: Shop) -> None:
    first, second = DatasetEntry("a", "b---c", "r"), DatasetEntry("a---b", "c", "r")
    catalog = shop.catalog()
    keys = [(await catalog.add(one)).keys[0] for one in (first, second)]
    assert keys[0] == "a---b---c---r"
    assert keys[1].startswith("a---b---c---r---")
    assert {one.id for one in await catalog.list()} == {"a", "a---b"}
    await catalog.remove(first)
    assert {one.id for one in await catalog.list()} == {"a---b"}
    assert (await catalog.add(second)).entries == 1


async def test_two_ids_with_one_folder_are_reported(shop: Shop) -> None:
    catalog = shop.catalog()
    await shop.put("org_a/default_config/default_revision/x")
    await catalog.add(DatasetEntry("org/a"))
    (warning,) = (await catalog.add(DatasetEntry("org_a"))).warnings
    assert "same folder as org/a" in warning


async def test_writers_at_once_lose_nothing(shop: Shop) -> None:
    await shop.put(INDEX, {})

    async def add(number: int) -> None:
        await shop.catalog().add(DatasetEntry(f"d{number}"))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(add, number)
    assert len(shop.read()) == 20
    assert shop.metrics.conflicts > 0


@pytest.mark.parametrize("there", [True, False])
async def test_after_a_lost_response_the_document_is_read_back(shop: Shop, there: bool) -> None:
    if there:
        await shop.put(INDEX, {})
    shop.store.on("put", key=INDEX, late=unavailable())
    change = await shop.catalog().add(DatasetEntry("d"))
    assert (change.changed, change.attempts, len(shop.read())) == (True, 2, 1)
    assert [call for call in shop.store.keys if call == ("put", INDEX)] == [("put", INDEX)]


async def test_a_write_that_never_arrives_is_an_error(shop: Shop) -> None:
    await shop.put(INDEX, {})
    shop.store.on("put", key=INDEX, error=unavailable(), times=-1)
    with pytest.raises(StoreError):
        await shop.catalog().add(DatasetEntry("d"))
    assert shop.read() == {}


async def test_retries_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_MOST_ATTEMPTS", 3)
    await shop.put(INDEX, {})
    lost = PreconditionFailedError("lost", code="PreconditionFailed", status=412)
    shop.store.on("put", key=INDEX, error=lost, times=-1)
    with pytest.raises(PreconditionFailedError):
        await shop.catalog().add(DatasetEntry("d"))
    assert shop.metrics.conflicts == 3


async def test_nothing_to_do_writes_nothing(shop: Shop) -> None:
    await shop.put(INDEX, {})
    change = await shop.catalog().remove(DatasetEntry("d"))
    assert (change.changed, shop.store.calls["put"]) == (False, 0)


async def test_a_corrupt_index_is_set_aside_and_rebuilt(shop: Shop) -> None:
    broken = b'{"a": {"dataset_id": "cut o'
    await shop.put(INDEX, broken)
    await shop.put("kept/en/v1/dataset_info.json")
    change = await shop.catalog().add(DatasetEntry("new"))
    assert change.rebuilt == "corrupt"
    assert change.set_aside.startswith(f"{INDEX}.corrupt-")
    assert shop.memory.objects[change.set_aside].body == broken
    assert {value["dataset_id"] for value in shop.read().values()} == {"kept", "new"}
    assert any("corrupt" in warning for warning in change.warnings)


async def test_a_corrupt_index_stays_if_it_cannot_be_copied(shop: Shop) -> None:
    await shop.put(INDEX, b"{")
    shop.store.on("copy", error=AccessDeniedError("no", status=403), times=-1)
    with pytest.raises(AccessDeniedError):
        await shop.catalog().add(DatasetEntry("new"))
    assert shop.memory.objects[INDEX].body == b"{"


async def test_the_first_entry_does_not_hide_existing_folders(shop: Shop) -> None:
    await shop.put("kept/en/v1/dataset_info.json")
    assert (await shop.catalog().add(DatasetEntry("new"))).rebuilt == "missing"
    assert {value["dataset_id"] for value in shop.read().values()} == {"kept", "new"}


async def test_rebuild_keeps_ids_and_removes_entries_without_files(shop: Shop) -> None:
    await shop.put("org_my_data/default_config/default_revision/dataset_info.json")
    await shop.put("elsewhere/x")
    await shop.put("found/en/v1/dataset_info.json")
    catalog = shop.catalog()
    await catalog.add(
        DatasetEntry("org/my_data", extra={"mine": 1}), DatasetEntry("e", s3_prefix="elsewhere")
    )
    await catalog.add(DatasetEntry("gone"))
    change = await catalog.rebuild()
    assert change.rebuilt == "asked"
    written = {value["dataset_id"]: value for value in shop.read().values()}
    assert set(written) == {"org/my_data", "e", "found"}
    assert written["org/my_data"]["mine"] == 1


class Unconditional(ForwardingStore):
    """An endpoint that ignores the conditions of writes."""

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        return await super().put(key, body, replace(options, if_match="", if_none_match=False), md5=md5)


async def test_without_conditions_a_single_writer_loses_nothing(shop: Shop) -> None:
    shop.store.inner = Unconditional(shop.memory)
    catalog = shop.catalog()
    changes = [await catalog.add(DatasetEntry(f"d{number}")) for number in range(3)]
    assert [change.conditional for change in changes] == [False] * 3
    assert all("no conditional writes" in change.warnings[-1] for change in changes)
    assert len(shop.read()) == 3
    assert not [key for key in shop.memory.objects if "probe" in key]
    probes = [key for verb, key in shop.store.keys if verb == "put" and key and "probe" in key]
    assert len(probes) == 1


async def test_without_conditions_a_change_that_was_overwritten_is_repeated(shop: Shop) -> None:
    shop.store.inner = Unconditional(shop.memory)
    await shop.put(INDEX, {})
    undone = False

    async def undo() -> None:
        nonlocal undone
        while INDEX not in shop.memory.objects or shop.read() == {}:  # noqa: ASYNC110 - it waits for a store, which has no event
            await anyio.sleep(0.005)
        undone = True
        await shop.put(INDEX, {})

    async with anyio.create_task_group() as group:
        group.start_soon(undo)
        await shop.catalog().add(DatasetEntry("d"))
    assert undone
    assert len(shop.read()) == 1


@pytest.mark.parametrize("acl", ["public-read", "public-read-write", "authenticated-read"])
async def test_a_public_manifest_keeps_the_acl_that_it_has(shop: Shop, acl: str) -> None:
    await shop.catalog(public=True, acl=acl).add(DatasetEntry("a"), derive=False)
    catalog = shop.catalog(public=True)
    for change in (
        await catalog.add(DatasetEntry("b"), derive=False),
        await shop.catalog(public=True).remove(DatasetEntry("a")),
    ):
        assert shop.memory.objects["public_datasets.json"].options.acl == acl
        assert change.warnings == ()
    assert shop.memory.objects[INDEX].options.acl == "", "the private index stays private"
    stored = shop.memory.objects["public_datasets.json"]
    shop.memory.objects["public_datasets.json"] = replace(stored, options=replace(stored.options, acl=""))
    await catalog.add(DatasetEntry("c"), derive=False)
    assert shop.memory.objects["public_datasets.json"].options.acl == "", "as it is now, not as it was"


@pytest.mark.parametrize("code", ["AccessDenied", "NotImplemented"])
async def test_a_public_manifest_whose_acl_is_unknown_is_read_after_the_write(shop: Shop, code: str) -> None:
    assert (await shop.catalog(public=True).add(DatasetEntry("new"), derive=False)).warnings == ()
    kind = AccessDeniedError if code == "AccessDenied" else StoreError
    shop.store.on("acl", times=-1, error=kind("no", code=code, status=403))
    result = await shop.catalog(public=True).add(DatasetEntry("a"), derive=False)
    assert result.copies[0].error == ""
    (warning,) = result.warnings
    assert warning.startswith("s3://bucket/public_datasets.json: it cannot be read without credentials")
    assert "--acl public-read" in warning
    shop.public_is_open = True
    assert (await shop.catalog(public=True).add(DatasetEntry("b"), derive=False)).warnings == ()


async def test_public_manifests(shop: Shop) -> None:
    await shop.put("public_datasets_zip/z---default_config---default_revision.zip")
    for name in ("z", "no-zip"):
        await shop.put(f"{name}/default_config/default_revision/x")
    catalog = shop.catalog(public=True, acl="public-read")
    assert (await catalog.add(DatasetEntry("z"), DatasetEntry("no-zip"))).warnings == ()
    public = shop.read("public_datasets.json")
    with_zip = public["z---default_config---default_revision"]
    assert with_zip["s3_zip_key"] == "public_datasets_zip/z---default_config---default_revision.zip"
    assert with_zip["s3_bucket"] == "bucket"
    assert "s3_zip_key" not in public["no-zip---default_config---default_revision"]
    assert shop.memory.objects["public_datasets.json"].options.acl == "public-read"
    assert shop.memory.objects[INDEX].options.acl == ""
    await catalog.remove(DatasetEntry("z"))
    assert len(shop.read("public_datasets.json")) == 1
    models = shop.catalog("models", public=True, endpoint="http://host:9")
    await shop.put("models/m/default_revision/config.json")
    await models.add(ModelEntry("m"))
    (model,) = shop.read("public_models.json").values()
    assert model["model_config_url"] == "http://bucket.host:9/models/m/default_revision/config.json"
    assert model["model_card_url"] is None
    assert shop.memory.objects["public_models.json"].options.acl == ""


async def test_replicas_are_written_each_on_its_own(shop: Shop) -> None:
    whole, broken, outdated = (MemoryStore(name) for name in ("whole", "broken", "outdated"))
    broken.exists = False
    catalog = shop.catalog(replicas=[whole, broken, outdated])
    first = await catalog.add(DatasetEntry("one"))
    assert [bool(copy.error) for copy in first.copies] == [False, True, False]
    assert [warning for warning in first.warnings if "s3://broken/" in warning]
    outdated.objects.clear()
    await shop.catalog(replicas=[whole]).add(DatasetEntry("two"))
    await catalog.add(DatasetEntry("three"))
    for copy in (whole, outdated):
        assert json.loads(copy.objects[INDEX].body) == shop.read()


async def test_a_replica_keeps_entries_of_its_own(shop: Shop) -> None:
    other = type(shop)(MemoryStore("other"))
    await other.catalog().add(DatasetEntry("theirs"))
    await shop.catalog(replicas=[other.memory]).add(DatasetEntry("ours"))
    assert {one.id for one in await other.catalog().list()} == {"theirs", "ours"}


async def test_large_catalogs_are_cut_into_shards(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "LARGEST_PLAIN", 20_000)
    monkeypatch.setattr(document, "_SHARD_BYTES", 5_000)
    catalog = shop.catalog()
    await catalog.add(*(DatasetEntry(f"d{number}") for number in range(200)), derive=False)
    head = shop.read()
    assert list(head) == [document.SHARDS]
    assert len(shop.memory.objects[INDEX].body) < 20_000
    shards = {key for key in shop.memory.objects if key.endswith(".json.gz")}
    assert len(shards) == len(head[document.SHARDS]["shards"]) > 4
    assert len(await shop.catalog().list()) == 200
    before = shop.store.calls["put"]
    await catalog.add(DatasetEntry("one-more"), derive=False)
    assert shop.store.calls["put"] == before + 2  # its shard, and the head
    assert len(await shop.catalog().list()) == 201
    # HG-Localization adds its entry next to members that it does not know.
    await shop.put(INDEX, {**shop.read(), "x---c---r": {"dataset_id": "x", "s3_prefix": "x/c/r"}})
    assert len(await shop.catalog().list()) == 202
    await shop.catalog().remove(*(DatasetEntry(f"d{number}") for number in range(190)))
    assert document.SHARDS not in shop.read()
    assert {value["dataset_id"] for value in shop.read().values()} >= {"x", "one-more", "d199"}
    assert not [key for key in shop.memory.objects if key.endswith(".json.gz")]


async def test_a_writer_that_loses_leaves_no_shards(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "LARGEST_PLAIN", 2_000)
    lost = PreconditionFailedError("lost", code="PreconditionFailed", status=412)
    shop.store.on("put", key=INDEX, error=lost, times=2)
    await shop.catalog().add(*(DatasetEntry(f"d{number}") for number in range(20)), derive=False)
    named = {shard["key"] for shard in shop.read()[document.SHARDS]["shards"]}
    assert {key for key in shop.memory.objects if key.endswith(".gz")} == named


async def test_a_lost_shard_is_corruption(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "LARGEST_PLAIN", 2_000)
    await shop.catalog().add(*(DatasetEntry(f"d{number}") for number in range(20)), derive=False)
    del shop.memory.objects[next(key for key in shop.memory.objects if key.endswith(".gz"))]
    listing = await shop.catalog().list()
    assert (listing.tier, listing.passed_over[0].reason) == ("scan", "corrupt")


async def test_a_gzipped_index_is_read_and_stays_one(shop: Shop) -> None:
    await shop.put(INDEX, document.written({"d---c---r": {"dataset_id": "d", "s3_prefix": "d"}}, gzip=True))
    await shop.catalog().add(DatasetEntry("e"))
    stored = shop.memory.objects[INDEX]
    assert stored.options.content_encoding == "gzip"
    assert {value["dataset_id"] for value in document.read_head(stored.body).entries.values()} == {"d", "e"}


async def test_entries_of_the_wrong_kind(shop: Shop) -> None:
    with pytest.raises(UsageError, match="does not belong"):
        await shop.catalog().add(ModelEntry("m"))
    for bad in (lambda: DatasetEntry(""), lambda: ModelEntry("m", ""), lambda: DatasetEntry(7)):  # type: ignore[arg-type]
        bad_entry: Any = bad
        with pytest.raises(UsageError):
            bad_entry()
