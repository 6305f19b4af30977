"""The catalog on real servers: kept by a sync, read without credentials, written by many processes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from anyio import to_thread

import aios3sync
from aios3sync.index.catalog import DatasetEntry, ModelEntry, Registration

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Place

INDEX = "private_datasets_index.json"
_WRITERS = 50
_PROGRAM = """
import asyncio, os, sys
import aios3sync
import aios3sync.store.boto, aios3sync.store.wire
from aios3sync.index.catalog import DatasetEntry

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


async def test_a_sync_keeps_the_entry(place: Place, tree: Path) -> None:
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


async def test_a_sync_that_did_not_do_all_adds_nothing(place: Place, tree: Path) -> None:
    await place.session.sync(tree, place.url("d"))
    (tree / "train/a.txt").unlink()
    report = await place.session.sync(
        tree, place.url("d"), catalog=DatasetEntry("d"), delete="mirror", max_delete=0
    )
    assert report.exit_code == 4
    assert "was not told of d" in report.warnings[-1]
    assert INDEX not in await place.read()


async def test_a_dry_run_or_a_whole_bucket_adds_nothing(place: Place, tree: Path) -> None:
    await place.session.sync(tree, place.url("d"), catalog=DatasetEntry("d"), dry_run=True)
    report = await place.session.sync(tree, place.url(), catalog=DatasetEntry("d"))
    assert "a whole bucket is no entry" in report.warnings[-1]
    assert INDEX not in await place.read()


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
    """The server without ACLs: everything there takes a signature."""
    server = place.client.list_buckets()["ResponseMetadata"]["HTTPHeaders"].get("server", "")
    return place.endpoint.url if "seaweed" in server.lower() else ""


@pytest.mark.parametrize("endpoint", ["seaweedfs"], indirect=True)
async def test_fifty_writers_at_once_lose_nothing(place: Place) -> None:
    ended = await to_thread.run_sync(
        lambda: subprocess.run(
            [sys.executable, "-c", _PROGRAM, place.url(), str(_WRITERS)],
            capture_output=True,
            timeout=55,
            check=False,
        )
    )
    assert (ended.returncode, ended.stderr.decode()) == (0, "")
    entries = json.loads((await place.read())[INDEX])
    assert {entry["dataset_id"] for entry in entries.values()} == {f"org/d{n}" for n in range(_WRITERS)}
