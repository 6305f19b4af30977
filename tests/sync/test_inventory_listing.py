"""Syncs that read an inventory in the place of a listing: what changed since is not deleted for it."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from collections.abc import Iterable
from hashlib import md5
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aios3sync._dataclass import replace
from aios3sync.core.key_range import KeyRange
from aios3sync.errors import UsageError
from aios3sync.inventory.files import InventoryError
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.forecast import Forecast, classes_of
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.subscribers import run_subscribed
from aios3sync.sync.upload_options import check_upload_options
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench
from tests.sync.copying import CopyBench

pytestmark = pytest.mark.usefixtures("settle")

LISTING = "inventory:s3://inv/daily"
CREATED = 4_000_000_000.0
"""After all that the tests write: their inventories are stale by what they hold, not by the clock."""
CONTENTS = {"A": b"aaaa", "B": b"bbbb", "C": b"cccccc"}
EVERY: dict[str, Any] = {"max_delete_ratio": 1.0, "allow_empty_source": True}


def digest(body: bytes) -> str:
    return md5(body, usedforsecurity=False).hexdigest()


def inventories(*buckets: tuple[str, dict[str, bytes]], created: float = CREATED) -> MemoryStore:
    """A bucket with one inventory for each bucket, below ``BUCKET/`` or ``daily/`` for one alone."""
    objects: dict[str, bytes] = {}
    for bucket, bodies in buckets:
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL)
        for key, body in bodies.items():
            writer.writerow([bucket, key, len(body), "2026-01-01T00:00:00.000Z", digest(body), "STANDARD"])
        place = "daily" if len(buckets) == 1 else bucket
        file = gzip.compress(out.getvalue().encode())
        manifest = json.dumps(
            {
                "sourceBucket": bucket,
                "destinationBucket": "arn:aws:s3:::inv",
                "creationTimestamp": str(int(created * 1000)),
                "fileFormat": "CSV",
                "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag, StorageClass",
                "files": [{"key": f"data/{bucket}.gz", "size": len(file), "MD5checksum": digest(file)}],
            }
        ).encode()
        run = f"{place}/2026-02-06T01-00Z/"
        objects |= {
            f"data/{bucket}.gz": file,
            f"{run}manifest.json": manifest,
            f"{run}manifest.checksum": digest(manifest).encode(),
        }
    return MemoryStore("inv", objects)


def snapshot(bench: Bench, created: float = CREATED) -> None:
    """Make an inventory of the bucket as it is now."""
    bench.inventories = inventories(("bucket", bench.memory.bodies()), created=created)


async def put(memory: MemoryStore, key: str, body: bytes) -> None:
    await memory.put(key, body, PutOptions(), md5=md5(body, usedforsecurity=False).digest())


async def test_an_inventory_takes_the_place_of_the_listing(bench: Bench) -> None:
    bench.tree({"a": "1", "b/c": "2", "d": "3"})
    await bench.store({"gone": b"x"})
    await bench.sync()
    snapshot(bench, created=1_770_339_600.0)
    bench.faults.calls.clear()
    report = await bench.sync(check="list", target_listing=LISTING)
    assert (report.kept, report.uploaded, report.checked) == (3, 0, "inventory")
    assert not bench.faults.calls
    assert report.knowledge_age_s is not None
    assert report.knowledge_age_s > 86_400
    report = await bench.sync(delete="off")  # what is known is as old as the inventory, so it lists
    assert report.checked == "list"


def test_an_upload_lists_no_source() -> None:
    with pytest.raises(UsageError, match="source_listing: the source is no bucket"):
        check_upload_options(SyncOptions(source_listing=LISTING))


async def test_the_inventory_of_another_bucket_is_refused(bench: Bench) -> None:
    bench.tree({"a": "1"})
    bench.inventories = inventories(("other", {}))
    with pytest.raises(UsageError, match="is of the bucket 'other', not 'bucket'"):
        await bench.sync(target_listing=LISTING)


async def test_a_damaged_inventory_is_an_error_and_nothing_is_written(bench: Bench) -> None:
    bench.tree({"a": "1"})
    await bench.store({"gone": b"x"})
    inventory = inventories(("bucket", bench.memory.bodies()))
    await put(inventory, "data/bucket.gz", b"y" * len(inventory.bodies()["data/bucket.gz"]))
    bench.inventories = inventory
    with pytest.raises(InventoryError, match="its MD5"):
        await bench.sync(target_listing=LISTING, delete="mirror", **EVERY)
    assert bench.objects()["gone"] == b"x"


async def test_only_the_keys_of_a_range_are_read(bench: Bench) -> None:
    bench.inventories = inventories(("bucket", {f"p/{name}": b"x" for name in "abcdef"}))
    from aios3sync.core.inventory_place import InventoryPlace
    from aios3sync.inventory.listing import InventoryListing

    async def store() -> Any:
        return bench.inventories

    listing = InventoryListing(InventoryPlace("inv", "daily"), store, "bucket")
    pages = [page async for page in listing.pages("p/", *KeyRange("b", "e"))]
    assert [entry.key for page in pages for entry in page] == ["b", "c", "d"]


class Case(NamedTuple):
    """What four places hold of one key: names of CONTENTS, or ``-`` for nothing."""

    source: str
    recorded: str
    listed: str
    current: str

    @property
    def has_changed(self) -> bool:
        return self.listed != self.current


CASES = {
    f"k{number:03}": Case(*case)
    for number, case in enumerate(itertools.product("-AB", "-A", "-ABC", "-ABC"))
    if set(case) != {"-"}
}


def changed_later(memory: MemoryStore, keys: Iterable[str]) -> None:
    """Let objects be newer than the inventory."""
    for key in keys:
        if stored := memory.objects.get(key):
            memory.objects[key] = replace(stored, last_modified=CREATED + 5)


async def upload_cases(bench: Bench, **options: Any) -> tuple[dict[str, bytes], list[str], Any]:
    """Bring a pair into the state of all cases and sync it; return the bucket, what was put, the report."""
    bench.tree({key: CONTENTS[case.recorded] for key, case in CASES.items() if case.recorded != "-"})
    await bench.sync()
    for key, case in CASES.items():
        file = bench.root / key
        if case.source == "-":
            file.unlink(missing_ok=True)
        elif case.source != case.recorded:
            bench.tree({key: CONTENTS[case.source]})
        if case.current == "-":
            bench.memory.objects.pop(f"p/{key}", None)
        elif not (case.current == case.recorded == "A"):
            await put(bench.memory, f"p/{key}", CONTENTS[case.current])
    bench.inventories = inventories(
        ("bucket", {f"p/{key}": CONTENTS[case.listed] for key, case in CASES.items() if case.listed != "-"})
    )
    by_etag = options["delete"] == "mirror"  # where each delete is due to the listed object itself
    changed = [
        key for key, case in CASES.items() if case.has_changed and not (by_etag and case.listed != "-")
    ]
    changed_later(bench.memory, [f"p/{key}" for key in changed])
    put_keys: list[str] = []
    real = bench.memory.put

    async def put_seen(key: str, *args: Any, **more: Any) -> Any:
        put_keys.append(key.removeprefix("p/"))
        return await real(key, *args, **more)

    bench.memory.put = put_seen  # type: ignore[method-assign]
    report = await bench.sync(check="list", **EVERY, **options)
    return bench.objects(), put_keys, report


@pytest.mark.parametrize("delete", ["off", "tracked", "mirror"])
async def test_every_kind_of_change_since_the_inventory(tmp_path: Path, delete: Any) -> None:
    """A run with a stale inventory does to each object what a run with a listing does, or less."""

    def fresh(name: str) -> Bench:
        from aios3sync.testing.faulty import FaultyStore

        root = tmp_path / name
        root.mkdir()
        memory = MemoryStore()
        return Bench(root, memory, FaultyStore(memory))

    listed, listed_puts, _ = await upload_cases(fresh("listed"), delete=delete)
    found, puts, report = await upload_cases(fresh("inventory"), delete=delete, target_listing=LISTING)
    assert report.checked == "inventory"
    assert report.failed == 0
    for key, case in CASES.items():
        now = CONTENTS.get(case.current)
        assert found.get(key) in (listed.get(key), now), (key, case)
        if case.source == "-" and case.has_changed:
            assert found.get(key) == now, (key, case, "deleted, though it changed since the inventory")
        if case.source in ("-", case.recorded):
            assert key not in set(puts) - set(listed_puts), (key, case, "overwritten for a stale inventory")
        if case.source == case.current and (case.recorded == "A" or case.listed != "-") and key in puts:
            assert case.recorded == "A" != case.source, (key, case, "sent again for a stale inventory")
        if not case.has_changed:
            assert found.get(key) == listed.get(key), (key, case)


async def test_an_object_stored_again_with_the_same_content_is_not_deleted(bench: Bench) -> None:
    bench.tree({"kept": "1"})
    await bench.store({"again": b"x", "old": b"y"})
    created = max(stored.last_modified for stored in bench.memory.objects.values()) + 10
    snapshot(bench, created)
    stored = bench.memory.objects["p/again"]
    bench.memory.objects["p/again"] = replace(stored, last_modified=created + 5)
    report = await bench.sync(delete="mirror", target_listing=LISTING, **EVERY)
    assert set(bench.objects()) == {"kept", "again"}
    assert (report.deleted, report.exit_code) == (1, 0)
    assert any("1 keys changed since the inventory of" in text for text in report.warnings)


async def test_a_row_is_not_forgotten_for_an_old_inventory(bench: Bench) -> None:
    """What was uploaded since the inventory and is gone from the source stays recorded."""
    snapshot(bench, created=1_770_339_600.0)
    bench.tree({"new": "1"})
    await bench.sync()
    (bench.root / "new").unlink()
    report = await bench.sync(delete="tracked", check="list", target_listing=LISTING, **EVERY)
    assert (report.forgotten, report.deleted) == (0, 0)
    assert bench.objects() == {"new": b"1"}
    report = await bench.sync(delete="tracked", check="list", **EVERY)
    assert (report.deleted, bench.objects()) == (1, {})


async def test_uploads_since_the_inventory_are_asked_for_and_not_sent_again(bench: Bench) -> None:
    await bench.store({"0": b"-", "1": b"before"})  # of the same size, and of another
    snapshot(bench)
    bench.tree({f"{number}": str(number) for number in range(5)})
    await bench.sync()
    bench.faults.calls.clear()
    report = await bench.sync(check="list", target_listing=LISTING)
    assert (report.kept, report.uploaded) == (5, 0)
    assert dict(bench.faults.calls) == {"head": 5}


async def test_many_keys_are_asked_for_by_a_listing_where_that_is_cheaper(bench: Bench) -> None:
    names = [f"{number:04}" for number in range(500)]
    capabilities = replace(bench.memory.capabilities, sorted_listing=True)
    bench.memory = MemoryStore(capabilities=capabilities, page_size=lambda _: 100)
    bench.faults.inner = bench.memory
    await bench.store(dict.fromkeys(names, b"x") | {"zz": b"y"})
    snapshot(bench)
    await put(bench.memory, "p/0400", b"changed")
    bench.tree({"zz": "y"})
    bench.faults.calls.clear()
    report = await bench.sync(delete="mirror", target_listing=LISTING, **EVERY)
    assert set(bench.objects()) == {"zz", "0400"}
    assert report.deleted == 499
    assert bench.faults.calls["list_page"] == 5
    assert bench.faults.calls["head"] == 1
    assert bench.faults.calls["put"] == 0


async def test_a_delete_that_cannot_be_checked_fails_alone(bench: Bench) -> None:
    from aios3sync.errors import AccessDeniedError

    bench.tree({"kept": "1"})
    await bench.store({"a": b"x", "b": b"y"})
    snapshot(bench)

    error = AccessDeniedError("no", operation="HeadObject", bucket="bucket", key="p/a", code="403")
    bench.faults.on("head", key="p/a", times=-1, error=error)
    report = await bench.sync(delete="mirror", target_listing=LISTING, **EVERY)
    assert (report.deleted, report.failed) == (1, 1)
    assert set(bench.objects()) == {"kept", "a"}


# S3 to S3, and S3 to local


COPIES = {
    f"k{number:03}": case
    for number, case in enumerate(itertools.product("-A", "-AB", "-AB", "-AB", "-AB"))
    if set(case) != {"-"}
}
"""Recorded; the source as it is listed, and now; the target as it is listed, and now."""


async def copy_cases(bench: CopyBench, **options: Any) -> tuple[dict[str, bytes], Any]:
    await bench.put({key: CONTENTS["A"] for key, case in COPIES.items() if case[0] == "A"})
    await bench.sync()
    for key, (_, _, source, _, target) in COPIES.items():
        for memory, place, name in ((bench.source, f"a/{key}", source), (bench.target, f"b/{key}", target)):
            if name == "-":
                memory.objects.pop(place, None)
            else:
                await put(memory, place, CONTENTS[name])
    changed_later(bench.target, (f"b/{key}" for key, case in COPIES.items() if case[3] != case[4]))
    bench.inventories = inventories(
        ("source", {f"a/{key}": CONTENTS[case[1]] for key, case in COPIES.items() if case[1] != "-"}),
        ("target", {f"b/{key}": CONTENTS[case[3]] for key, case in COPIES.items() if case[3] != "-"}),
    )
    report = await bench.sync(**EVERY, **options)
    return bench.copies(), report


@pytest.mark.parametrize("delete", ["off", "tracked", "mirror"])
@pytest.mark.parametrize("sides", [("source",), ("target",), ("source", "target")], ids="-".join)
async def test_copies_with_stale_inventories(tmp_path: Path, delete: Any, sides: tuple[str, ...]) -> None:
    places = [tmp_path / name for name in ("listed", "inventory")]
    for place in places:
        place.mkdir()
    listed, _ = await copy_cases(CopyBench(places[0]), delete=delete)
    options = {f"{side}_listing": f"inventory:s3://inv/{side}" for side in sides}
    found, report = await copy_cases(CopyBench(places[1]), delete=delete, **options)
    assert report.failed == 0
    for key, (_, source_listed, source, target_listed, target) in COPIES.items():
        before, copied = CONTENTS.get(target), CONTENTS.get(source)
        assert found.get(key) in (listed.get(key), before, copied), (key, COPIES[key])
        if key not in found and before is not None:  # it was deleted
            assert source == "-", (key, COPIES[key], "deleted, though the source has it")
            assert "target" not in sides or target_listed == target, (key, COPIES[key], "it had changed")
            assert key not in listed
        elif found.get(key) != before:
            assert found[key] == copied, (key, COPIES[key], "overwritten by what the source has not")
        stale = ("source" in sides and source_listed != source) or (
            "target" in sides and target_listed != target
        )
        if not stale:
            assert found.get(key) == listed.get(key), (key, COPIES[key])


FILES = {
    f"k{number:03}": case
    for number, case in enumerate(itertools.product("-A", "-AB", "-AB", "-AB"))
    if set(case) != {"-"}
}
"""Recorded; the source as it is listed, and now; the file."""


async def download_cases(bench: Bench, **options: Any) -> tuple[dict[str, bytes], Any]:
    await bench.store({key: CONTENTS["A"] for key, case in FILES.items() if case[0] == "A"})
    await bench.download()
    for key, (recorded, _, current, file) in FILES.items():
        if current == "-":
            bench.memory.objects.pop(f"p/{key}", None)
        elif current != recorded:
            await put(bench.memory, f"p/{key}", CONTENTS[current])
        if file == "-":
            (bench.root / key).unlink(missing_ok=True)
        elif file != recorded:
            bench.tree({key: CONTENTS[file]})
    bench.inventories = inventories(
        ("bucket", {f"p/{key}": CONTENTS[case[1]] for key, case in FILES.items() if case[1] != "-"})
    )
    report = await bench.download(**EVERY, **options)
    return {path.name: path.read_bytes() for path in bench.root.iterdir() if path.is_file()}, report


@pytest.mark.parametrize("delete", ["off", "tracked", "mirror"])
@pytest.mark.parametrize("on_conflict", ["keep", "overwrite"])
async def test_downloads_with_a_stale_inventory(tmp_path: Path, delete: Any, on_conflict: Any) -> None:
    from aios3sync.testing.faulty import FaultyStore

    found: list[dict[str, bytes]] = []
    for name, more in (("listed", {}), ("inventory", {"source_listing": LISTING})):
        (tmp_path / name).mkdir()
        memory = MemoryStore()
        bench = Bench(tmp_path / name, memory, FaultyStore(memory))
        options = {"delete": delete, "on_conflict": on_conflict, **more}
        found.append((await download_cases(bench, **options))[0])
    listed, stale = found
    for key, (_, source_listed, source, file) in FILES.items():
        before, fetched = CONTENTS.get(file), CONTENTS.get(source)
        assert stale.get(key) in (listed.get(key), before, fetched), (key, FILES[key])
        if key not in stale and before is not None:
            assert source == "-", (key, FILES[key], "deleted, though the bucket has it")
            assert key not in listed
        if on_conflict == "keep" and before is not None and listed.get(key) == before and key in stale:
            assert stale[key] in (before, fetched)
        if source_listed == source:
            assert stale.get(key) == listed.get(key), (key, FILES[key])


# What a run would cost


async def test_a_dry_run_tells_what_the_run_would_send(bench: Bench) -> None:
    bench.tree({"new": "1", "again": "2", "same": "3", "large": b"x" * (6 * 2**20)})
    await bench.store({"gone": b"x", "also gone": b"y"})
    await bench.sync(exclude=("new", "large"))
    bench.inventories = inventories(("bucket", {"p/gone": b"x", "p/also gone": b"y", "p/same": b"3"}))
    options: dict[str, Any] = {"delete": "mirror", "check": "list", "target_listing": LISTING, **EVERY}
    options |= {"multipart_threshold": 5 * 2**20, "part_size": 5 * 2**20}

    async def forecast_too(request: SyncRequest, resources: Resources) -> SyncReport:
        return await run_subscribed(request, resources, [Forecast()])

    plain, bench.runner = bench.runner, forecast_too
    dry = await bench.sync(dry_run=True, **options)
    bench.runner = plain
    assert dry.forecast is not None
    bench.faults.calls.clear()
    report = await bench.sync(**options)
    writes, reads, free = classes_of(report.requests)
    assert (dry.uploaded, report.uploaded) == (3, 2)  # "again" is asked for, and is there
    assert dry.forecast.deletes == free == 1
    assert dry.forecast.writes == writes + 1
    assert dry.forecast.reads == reads
