"""Inventories: manifests, their files, and every way in which either can be invalid."""

from __future__ import annotations

import csv
import gzip
import io
import json
from contextlib import aclosing
from hashlib import md5
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import orc, parquet

from aios3sync.core.entries import TargetEntry
from aios3sync.errors import ListingError, PreconditionFailedError, UsageError
from aios3sync.inventory import fetch as inventory_module
from aios3sync.inventory.arrow import batches_of_parquet
from aios3sync.inventory.fetch import read_inventory
from aios3sync.inventory.files import InventoryError, batches_of_csv
from aios3sync.inventory.manifest import (
    Inventory,
    InventoryFile,
    find_manifest,
    open_inventory,
    parse_manifest,
)
from aios3sync.store.protocol import ObjectStore, PutOptions
from aios3sync.store.wrappers.base import ForwardingStore, StoreCall
from aios3sync.testing.faulty import FaultyStore
from aios3sync.testing.memory import MemoryStore

COLUMNS = ["Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag"]
COLUMNS += ["StorageClass", "IsMultipartUploaded"]
MODIFIED = "2026-02-06T14:30:00.000Z"
SECONDS = 1770388200.0
RUN = "inv/source/daily/2026-02-06T01-00Z/"
HOSTILE = ["plain", "a b+c", "100%25", 'quote"comma,', "line\nend", "é/\U0001f600", "%41", "tab\t", "//"]


def row(key: str, **other: Any) -> dict[str, Any]:
    facts = {
        "Bucket": "source",
        "Key": key,
        "VersionId": "v",
        "IsLatest": True,
        "IsDeleteMarker": False,
        "Size": len(key),
        "LastModifiedDate": MODIFIED,
        "ETag": "d41d8cd98f00b204e9800998ecf8427e",
        "StorageClass": "STANDARD",
        "IsMultipartUploaded": False,
    }
    return facts | other


def entry(key: str) -> TargetEntry:
    return TargetEntry(key, len(key), "d41d8cd98f00b204e9800998ecf8427e", SECONDS, "STANDARD")


def csv_file(rows: list[dict[str, Any]], columns: list[str] = COLUMNS) -> bytes:
    """A file as S3 writes it: no header, every value quoted, keys form-encoded, booleans in lower case."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for facts in rows:
        values = facts | {"Key": quote_plus(facts["Key"], safe="/")}
        writer.writerow([_written(values[name]) for name in columns])
    return gzip.compress(out.getvalue().encode())


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parquet_file(rows: list[dict[str, Any]], drop: tuple[str, ...] = ()) -> bytes:
    names = {
        "Bucket": ("bucket", pa.string()),
        "Key": ("key", pa.string()),
        "VersionId": ("version_id", pa.string()),
        "IsLatest": ("is_latest", pa.bool_()),
        "IsDeleteMarker": ("is_delete_marker", pa.bool_()),
        "Size": ("size", pa.int64()),
        "ETag": ("e_tag", pa.string()),
        "StorageClass": ("storage_class", pa.string()),
    }
    columns = {own: pa.array([facts[name] for facts in rows], kind) for name, (own, kind) in names.items()}
    columns["last_modified_date"] = pa.array([int(SECONDS * 1000)] * len(rows), pa.timestamp("ms"))
    out = io.BytesIO()
    table = pa.table({name: column for name, column in columns.items() if name not in drop})
    parquet.write_table(table, out, row_group_size=3)
    return out.getvalue()


def digest(body: bytes) -> str:
    return md5(body, usedforsecurity=False).hexdigest()


def manifest_of(named: dict[str, bytes], /, **other: Any) -> bytes:
    ends = {key.rpartition(".")[2] for key in named}
    form = "Parquet" if "parquet" in ends else "ORC" if "orc" in ends else "CSV"
    schema = ", ".join(COLUMNS) if form == "CSV" else "message s3.inventory { required binary key; }"
    files = [{"key": key, "size": len(body), "MD5checksum": digest(body)} for key, body in named.items()]
    document = {
        "sourceBucket": "source",
        "destinationBucket": "arn:aws:s3:::destination",
        "version": "2016-11-30",
        "creationTimestamp": "1770339600000",
        "fileFormat": form,
        "fileSchema": schema,
        "files": files,
    }
    return json.dumps(document | other).encode()


async def put(store: ObjectStore, key: str, body: bytes) -> None:
    await store.put(key, body, PutOptions(), md5=md5(body, usedforsecurity=False).digest())


def placed(files: dict[str, bytes], run: str = RUN, **other: Any) -> MemoryStore:
    manifest = manifest_of(files, **other)
    objects = {run + "manifest.json": manifest, run + "manifest.checksum": digest(manifest).encode()}
    return MemoryStore("destination", objects | files)


async def everything(store: ObjectStore, prefix: str = "", first: int = 0) -> list[tuple[int, TargetEntry]]:
    inventory = await open_inventory(store, RUN + "manifest.json")
    async with aclosing(read_inventory(store, inventory, prefix=prefix, first=first)) as batches:
        return [(number, each) async for number, batch in batches for each in batch]


FORMS = pytest.mark.parametrize("form", ["csv.gz", "parquet", "orc"])


def orc_file(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    orc.write_table(parquet.read_table(io.BytesIO(parquet_file(rows))), out)
    return out.getvalue()


def file_of(form: str, rows: list[dict[str, Any]]) -> bytes:
    return {"parquet": parquet_file, "orc": orc_file, "csv.gz": csv_file}[form](rows)


@FORMS
async def test_the_current_objects_of_all_files(form: str) -> None:
    old = [
        row("old", IsLatest=False),
        row("gone", IsDeleteMarker=True),
        row("gone before", IsLatest=False, IsDeleteMarker=True),
    ]
    files = {
        f"inv/data/1.{form}": file_of(form, [row(key) for key in HOSTILE] + old),
        f"inv/data/2.{form}": file_of(form, [row("second")]),
    }
    store = placed(files)
    expected = [(0, entry(key)) for key in HOSTILE] + [(1, entry("second"))]
    assert await everything(store) == expected
    assert await everything(store, first=1) == expected[-1:]
    assert await everything(store, prefix="se") == expected[-1:]
    inventory = await open_inventory(store, RUN + "manifest.json")
    assert (inventory.bucket, inventory.created) == ("source", 1770339600.0)


@FORMS
async def test_large_files_come_in_ranges_and_in_batches(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory_module, "_RANGE", 1000)
    keys = [f"train/{number * 7919 % 10007:05}.jpg" for number in range(10_000)]
    body = file_of(form, [row(key) for key in keys])
    store = FaultyStore(placed({f"inv/data/1.{form}": body}))
    inventory = await open_inventory(store, RUN + "manifest.json")
    sizes = []
    found = []
    async with aclosing(read_inventory(store, inventory)) as batches:
        async for _, batch in batches:
            sizes.append(len(batch))
            found += [each.key for each in batch]
    assert found == keys
    assert max(sizes) <= 5000
    assert store.calls["get"] == 2 + -(-len(body) // 1000)


async def test_an_inventory_of_current_versions_without_optional_fields() -> None:
    columns = ["Bucket", "Key", "Size"]
    body = csv_file([row("a"), row("b")], columns)
    store = placed({"inv/1.csv.gz": body}, fileSchema="Bucket, Key, Size")
    assert [each for _, each in await everything(store)] == [TargetEntry("a", 1, ""), TargetEntry("b", 1, "")]
    optional = ("version_id", "is_latest", "is_delete_marker", "e_tag", "storage_class", "last_modified_date")
    store = placed({"inv/1.parquet": parquet_file([row("a")], optional)})
    assert await everything(store) == [(0, TargetEntry("a", 1, ""))]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), max_size=20))
def test_any_key_survives_both_forms(keys: list[str]) -> None:
    rows = [row(key) for key in keys]
    expected = [entry(key) for key in keys]
    from_csv = batches_of_csv(io.BytesIO(csv_file(rows)), COLUMNS, "source")
    from_parquet = batches_of_parquet(io.BytesIO(parquet_file(rows)), "source")
    assert [each for batch in from_csv for each in batch] == expected
    assert [each for batch in from_parquet for each in batch] == expected


# Invalid inventories


@FORMS
async def test_a_file_that_was_changed_is_refused_before_any_row(form: str) -> None:
    key = f"inv/1.{form}"
    store = placed({key: file_of(form, [row("a")])})
    body = store.objects[key].body
    changed = bytes([body[0] ^ 1]) + body[1:]
    await put(store, key, changed)
    with pytest.raises(InventoryError, match=rf"s3://destination/{key}: its MD5"):
        await everything(store)


@FORMS
async def test_a_file_that_changes_while_it_is_read_is_refused(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_module, "_RANGE", 10)
    key = f"inv/1.{form}"
    inner = placed({key: file_of(form, [row("a")])})

    class Rewritten(ForwardingStore):
        """The inventory is replaced after its first range was read."""

        async def call(self, request: StoreCall[Any]) -> Any:
            answer = await super().call(request)
            if request.key == key:
                await put(inner, key, bytes(answer.head.size))
            return answer

    with pytest.raises(PreconditionFailedError):
        await everything(Rewritten(inner))


@FORMS
@pytest.mark.parametrize("kept", [1, 0.5, 0.1])
async def test_files_that_are_no_inventory(form: str, kept: float) -> None:
    whole = file_of(form, [row(key) for key in HOSTILE])
    body = whole[: int(len(whole) * kept)] if kept < 1 else b"neither this nor that, but long enough to look"
    with pytest.raises(
        InventoryError, match=rf"inv/1.{form}: no (CSV under gzip|(Parquet|ORC) of an inventory)"
    ):
        await everything(placed({f"inv/1.{form}": body}))


@pytest.mark.parametrize(
    ("rows", "columns", "schema", "reason"),
    [
        ([row("a")], COLUMNS[:-1], COLUMNS, "a line of 9 columns, the manifest names 10"),
        ([row("a", Size="large")], COLUMNS, COLUMNS, "no CSV"),
        ([row("a", Bucket="other")], COLUMNS, COLUMNS, "an object of another bucket, 'other'"),
        ([row("a", LastModifiedDate="yesterday")], COLUMNS, COLUMNS, "no CSV"),
        ([row("a")], ["Bucket", "Key"], ["Bucket", "Key"], "there is no column Size"),
    ],
)
async def test_invalid_rows(
    rows: list[dict[str, Any]], columns: list[str], schema: list[str], reason: str
) -> None:
    store = placed({"inv/1.csv.gz": csv_file(rows, columns)}, fileSchema=", ".join(schema))
    with pytest.raises(InventoryError, match=rf"s3://destination/inv/1.csv.gz: .*{reason}"):
        await everything(store)


async def test_invalid_parquet_rows() -> None:
    with pytest.raises(InventoryError, match="there is no column size"):
        await everything(placed({"inv/1.parquet": parquet_file([row("a")], ("size",))}))
    with pytest.raises(InventoryError, match="another bucket, 'other'"):
        await everything(placed({"inv/1.parquet": parquet_file([row("a", Bucket="other")])}))


async def test_a_key_that_is_no_utf8() -> None:
    columns = ["Bucket", "Key", "Size"]
    body = gzip.compress(b'"source","%ff","1"\n')
    with pytest.raises(InventoryError, match="no CSV under gzip"):
        list(batches_of_csv(io.BytesIO(body), columns, "source"))


async def test_a_file_that_is_gone_or_of_another_size() -> None:
    store = placed({"inv/1.csv.gz": csv_file([row("a")])})
    del store.objects["inv/1.csv.gz"]
    with pytest.raises(InventoryError, match=r"inv/1.csv.gz: named by the manifest, and not there"):
        await everything(store)
    await put(store, "inv/1.csv.gz", b"x")
    with pytest.raises(InventoryError, match=r"1 bytes, the manifest says \d+"):
        await everything(store)


async def test_another_form_is_named() -> None:
    with pytest.raises(InventoryError, match=r"manifest.json: the inventory is in 'Avro'; CSV"):
        await everything(placed({"inv/1.avro": b"Obj"}, fileFormat="Avro"))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[]", b"null", b'"text"', manifest_of({}, files=None), manifest_of({}, files=[1])),
        *(manifest_of({}, creationTimestamp="soon"), manifest_of({}, creationTimestamp=1)),
        *(manifest_of({}, files=[{"key": "k", "size": -1, "MD5checksum": "0" * 32}]),),
        *(manifest_of({}, files=[{"key": "k", "size": 1, "MD5checksum": "../../x"}]),),
        *(manifest_of({}, fileFormat="TSV"), manifest_of({}, sourceBucket="")),
        *(manifest_of({}, destinationBucket=""), manifest_of({}, destinationBucket=None)),
    ],
)
def test_contents_that_are_no_manifest(content: bytes) -> None:
    with pytest.raises(InventoryError):
        parse_manifest(content)


@settings(deadline=None)  # the machine may be busy
@given(st.binary() | st.text().map(str.encode))
def test_no_content_raises_anything_else(content: bytes) -> None:
    try:
        parse_manifest(content)
    except InventoryError:
        return
    pytest.fail("it was taken for a manifest")


async def test_a_manifest_has_to_match_its_checksum() -> None:
    store = placed({})
    del store.objects[RUN + "manifest.checksum"]
    with pytest.raises(InventoryError, match="not complete yet"):
        await everything(store)
    await put(store, RUN + "manifest.checksum", digest(b"").encode())
    with pytest.raises(InventoryError, match=r"manifest.json: does not match its manifest.checksum"):
        await everything(store)


async def test_the_newest_complete_inventory_is_found() -> None:
    config = "inv/source/daily/"
    runs = [f"{config}2026-02-0{day}T01-00Z/" for day in (4, 5, 6)]
    store = MemoryStore("destination", {})
    for run in runs:
        store.objects |= placed({}, run).objects
    others = {f"{config}data/1.csv.gz": b"", f"{config}hive/dt=2026-02-06-01-00/symlink.txt": b""}
    store.objects |= MemoryStore("x", others).objects
    assert await find_manifest(store, config) == runs[2] + "manifest.json"
    del store.objects[runs[2] + "manifest.checksum"]
    assert await find_manifest(store, config.rstrip("/")) == runs[1] + "manifest.json"
    assert await find_manifest(store, runs[0]) == runs[0] + "manifest.json"
    assert await find_manifest(store, runs[0] + "manifest.json") == runs[0] + "manifest.json"
    with pytest.raises(InventoryError, match="no complete inventory below s3://destination/inv/nothing/"):
        await find_manifest(store, "inv/nothing")


async def test_a_listing_of_inventories_whose_token_repeats_is_refused() -> None:
    store = FaultyStore(placed({}))
    store.on("list_page", times=3, change=lambda page: page._replace(next_token="again"))
    with pytest.raises(ListingError, match="the same continuation token came twice"):
        await find_manifest(store, "inv/source/daily/")


def test_without_pyarrow_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="pip install pyarrow"):
        list(batches_of_parquet(io.BytesIO(), "source"))


async def test_reading_that_is_given_up_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[io.BytesIO] = []

    def open_temporary() -> io.BytesIO:
        opened.append(io.BytesIO())
        return opened[-1]

    monkeypatch.setattr(inventory_module, "temporary_file", open_temporary)
    body = csv_file([row(f"{number}") for number in range(6000)])
    store = placed({"inv/1.csv.gz": body})
    file = InventoryFile("inv/1.csv.gz", len(body), digest(body))
    inventory = Inventory("source", 0.0, "CSV", tuple(COLUMNS), (file,))
    async with aclosing(read_inventory(store, inventory)) as batches:
        async for _, batch in batches:
            assert len(batch) == 5000
            break
    assert [each.closed for each in opened] == [True]
