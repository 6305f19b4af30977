"""The catalog on real servers: updated by a sync, read without credentials, written by many processes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio import to_thread

import aios3sync
from aios3sync import ConnectOptions
from aios3sync.catalog import Catalog, CatalogChange, DatasetEntry, ModelEntry, Registration, orphans
from aios3sync.catalog import format as catalog_format
from aios3sync.catalog.entries import Entry
from aios3sync.concurrency import Stop
from aios3sync.errors import SourceError, UsageError
from aios3sync.events import Event, Finished, PhaseBegan, Warned
from aios3sync.report import CatalogResult

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Place

INDEX = "private_datasets_index.json"
_WRITERS = 50
_PROGRAM = """
import asyncio, os, sys
import aios3sync
import aios3sync.store.boto, aios3sync.store.wire
from aios3sync.catalog import DatasetEntry

async def add(number):
    async with aios3sync.connect() as session:
        await session.catalog(sys.argv[1]).add(DatasetEntry(f"org/d{number}"))

children = []
for number in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(add(number))
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("README.md", "train/a.txt"):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_text(name)
    return tmp_path / "d"


async def test_a_sync_adds_the_entry(place: Place, tree: Path) -> None:
    report = await place.session.sync(
        tree, place.url("lake/d"), catalog=Registration(DatasetEntry("org/d"), public=True)
    )
    assert (report.exit_code, report.warnings) == (0, ())
    catalog = place.session.catalog(place.url())
    (entry,) = await catalog.list()
    assert (entry.id, entry.s3_prefix, entry.s3_bucket, entry.has_card) == (
        "org/d",
        "lake/d",
        place.bucket,
        True,
    )
    assert (await catalog.list()).not_modified
    assert "org/d---default_config---default_revision" in json.loads(
        (await place.read())["public_datasets.json"]
    )


async def test_an_incomplete_sync_adds_no_entry(place: Place, tree: Path) -> None:
    await place.session.sync(tree, place.url("d"))
    (tree / "train/a.txt").unlink()
    report = await place.session.sync(
        tree, place.url("d"), catalog=DatasetEntry("d"), delete="mirror", max_delete=0
    )
    assert report.exit_code == 4
    assert report.catalog is not None
    assert report.catalog.state == "skipped"
    assert report.warnings[-1] == "d was not added to the catalog: not all of its files are there"
    assert INDEX not in await place.read()


async def test_a_dry_run_plans_the_entry_and_adds_none(place: Place, tree: Path) -> None:
    report = await place.session.sync(tree, place.url("d"), catalog=DatasetEntry("d"), dry_run=True)
    assert report.catalog == CatalogResult("d", place.url(INDEX), "planned")
    assert INDEX not in await place.read()


@pytest.mark.parametrize(
    ("target", "registration", "text"),
    [
        ("", Registration(DatasetEntry("d")), "cannot be a whole bucket"),
        ("d", Registration(DatasetEntry("d"), catalog="s3://another-bucket"), "not in the bucket"),
        ("d", Registration(DatasetEntry("d"), replicas=["nowhere"]), "is not an S3 location"),
    ],
    ids=["bucket", "elsewhere", "replica"],
)
async def test_an_impossible_registration_is_an_error_before_anything_is_sent(
    place: Place, tree: Path, target: str, registration: Registration, text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        await place.session.sync(tree, place.url(target), catalog=registration)
    assert await place.read() == {}


async def test_the_last_event_comes_after_the_change_of_the_catalog(place: Place, tree: Path) -> None:
    received: list[Event] = []
    reads_at_the_end: list[int] = []

    def listen(event: Event, /) -> None:
        received.append(event)
        if isinstance(event, Finished):
            reads_at_the_end.append(event.report.requests["GetObject"])

    wanted = Registration(DatasetEntry("d"), replicas=["s3://no-such-bucket-here"])
    report = await place.session.sync(tree, place.url("d"), catalog=wanted, on_event=listen)
    assert [type(event) for event in received].count(Finished) == 1
    assert received[-1] == Finished(report)
    assert report.catalog is not None
    assert (report.catalog.state, report.catalog.location) == ("added", place.url(INDEX))
    assert [bool(error) for error in report.catalog.copies.values()] == [True]
    assert Warned(report.warnings[-1]) in received
    assert PhaseBegan("finish") in received
    assert reads_at_the_end[0] >= 1  # the catalog's requests are requests of the run


async def test_a_stop_ends_the_wait_for_a_catalog(
    place: Place, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop()

    async def hang(catalog: Catalog, *entries: Entry) -> CatalogChange:
        stop.request(2)
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    monkeypatch.setattr(Catalog, "add", hang)
    report = await place.session.sync(tree, place.url("d"), catalog=DatasetEntry("d"), stop=stop)
    assert report.catalog is not None
    assert (report.uploaded, report.catalog.state, report.exit_code) == (2, "failed", 130)
    assert "stopped before the catalog answered" in report.catalog.error


async def test_any_exception_of_a_catalog_fails_no_sync(
    place: Place, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(catalog: Catalog, *entries: Entry) -> CatalogChange:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(Catalog, "add", fail)
    report = await place.session.sync(tree, place.url("d"), catalog=DatasetEntry("d"))
    assert report.catalog == CatalogResult("d", place.url(INDEX), "failed", "odd")
    assert (report.exit_code, report.warnings[-1]) == (
        0,
        "d was not added to the catalog: odd; add it when the reason is gone",
    )


async def test_a_failing_catalog_fails_no_sync(place: Place, tree: Path) -> None:
    registration = Registration(ModelEntry("m"), replicas=["s3://no-such-bucket-here"])
    report = await place.session.sync(tree, place.url("m"), catalog=registration)
    assert report.exit_code == 0
    assert "s3://no-such-bucket-here/private_models_index.json" in report.warnings[-1]
    assert len(await place.session.catalog(place.url(), kind="models").list()) == 1


async def test_without_credentials_the_public_manifest_answers(
    place: Place, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.session.sync(
        tree, place.url("d"), catalog=Registration(DatasetEntry("d"), public=True, acl="public-read")
    )
    if place.endpoint.url in _closed(place):
        pytest.skip("the server knows no anonymous readers")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    async with aios3sync.connect() as session:
        listing = await session.catalog(place.url()).list()
    assert listing.tier == "public"
    assert [one.reason for one in listing.passed_over] == ["credentials", "credentials"]


def _closed(place: Place) -> str:
    """Return the URL of a server without ACLs, where every request needs a signature."""
    server = place.client.list_buckets()["ResponseMetadata"]["HTTPHeaders"].get("server", "")
    return place.endpoint.url if "seaweed" in server.lower() else ""


@pytest.mark.parametrize("endpoint", ["seaweedfs"], indirect=True)
async def test_fifty_writers_at_once_lose_nothing(place: Place) -> None:
    ended = await to_thread.run_sync(
        lambda: subprocess.run(
            [sys.executable, "-c", _PROGRAM, place.url(), str(_WRITERS)],
            capture_output=True,
            timeout=240,
            check=False,
        )
    )
    assert (ended.returncode, ended.stderr.decode()) == (0, "")
    entries = json.loads((await place.read())[INDEX])
    assert {entry["dataset_id"] for entry in entries.values()} == {f"org/d{n}" for n in range(_WRITERS)}


async def test_orphaned_shards_are_deleted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_format, "LARGEST_PLAIN", 2_000)
    catalog = place.session.catalog(place.url())
    await catalog.add(*(DatasetEntry(f"d{number}") for number in range(20)), derive=False)
    left = f".aios3sync/catalog/datasets/{INDEX}/0000-{'a' * 16}.json.gz"
    place.client.put_object(Bucket=place.bucket, Key=left, Body=b"x")
    assert (await catalog.rebuild()).swept == 0
    monkeypatch.setattr(orphans, "GRACE", -60.0)
    assert (await catalog.rebuild()).swept == 1
    assert left not in await place.read()


async def test_an_entry_is_a_source(
    place: Place, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.session.sync(tree, place.url("d"), catalog=DatasetEntry("org/d"))
    monkeypatch.setenv("AIOS3SYNC_S3_BUCKET_NAME", place.bucket)
    report = await place.session.sync("catalog:org/d", tmp_path / "new")
    assert (report.exit_code, report.downloaded, report.source) == (0, 2, place.url("d/"))
    assert (await place.session.verify("catalog:org/d", tmp_path / "new")).exit_code == 0
    plan = await place.session.plan("catalog:org/d", place.url("copy"))
    assert plan.report is not None
    assert plan.report.copied == 2
    source = await place.session.catalog(place.url()).source("org/d")
    assert (await place.session.sync(source, place.url("copy"))).copied == 2
    with pytest.raises(SourceError, match="near to it: 'org/d'"):
        await place.session.sync("catalog:d", tmp_path / "other")
    with pytest.raises(UsageError, match="at the endpoint of the target"):
        await place.session.sync("catalog:org/d", place.url("c"), source_connect=ConnectOptions(region="x"))
