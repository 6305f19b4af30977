"""Downloads and copies of a bucket as it was, and what the next run makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aios3sync.core.keys import Location
from aios3sync.core.parts import MIB
from aios3sync.errors import UsageError
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import DeleteItem, ObjectStore
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.sync.upload_options import check_upload_options
from aios3sync.sync.verify import run_verify
from aios3sync.sync.verify_report import VerifyReport
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.versions import VersionHistory
from tests.sync.conftest import Bench, body_tree
from tests.sync.copying import CopyBench

pytestmark = pytest.mark.usefixtures("settle")

OLD = {"a": b"old a", "gone": b"was here", "same": b"same", "large": bytes(9 * MIB)}
NEW = {"a": b"new", "same": b"same", "later": b"later", "large": b"small now"}


def kept_versions(store: MemoryStore) -> None:
    store.history = VersionHistory()


async def verify_down(bench: Bench, **options: Any) -> VerifyReport:
    async def open_store() -> ObjectStore:
        return bench.memory

    request = SyncRequest(
        root=str(bench.root),
        location=Location.parse(bench.target),
        endpoint="http://memory",
        direction="down",
        options=SyncOptions(**options),
    )
    counts = RequestCounts()
    resources = Resources(open_store=open_store, memory=ByteSemaphore(MIB), workers=4, counts=counts)
    return await run_verify(request, resources)


@pytest.fixture
async def history(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bucket whose old state is of the second 1000, and its new one of 2000."""
    kept_versions(bench.memory)
    monkeypatch.setattr(bench.memory, "_clock", lambda: 1000.5)
    await bench.store(OLD)
    monkeypatch.setattr(bench.memory, "_clock", lambda: 2000.5)
    await bench.store(NEW)
    await bench.memory.delete_one(DeleteItem("p/gone"))
    return bench


async def test_a_download_takes_what_was_there_then(history: Bench) -> None:
    report = await history.download(as_of=1500.0)
    assert (report.downloaded, report.exit_code) == (len(OLD), 0)
    assert body_tree(history.root) == OLD
    again = await history.download(as_of=1500.0)
    assert (again.kept, again.downloaded, again.requests.get("GetObject", 0)) == (len(OLD), 0, 0)


async def test_before_the_first_version_there_was_nothing(history: Bench) -> None:
    report = await history.download(as_of=999.0)
    assert (report.downloaded, report.planned) == (0, 0)


async def test_the_next_plain_run_brings_the_present(history: Bench) -> None:
    await history.download(as_of=1500.0)
    report = await history.download(delete="tracked")
    assert (report.downloaded, report.kept, report.deleted, report.conflicts) == (3, 1, 1, 0)
    assert body_tree(history.root) == NEW


async def test_and_back_again(history: Bench) -> None:
    await history.download()
    report = await history.download(as_of=1500.0, delete="mirror", max_delete_ratio=1.0)
    assert (report.downloaded, report.deleted) == (3, 1)
    assert body_tree(history.root) == OLD


async def test_the_next_upload_lists_before_it_believes_the_manifest(history: Bench) -> None:
    """The rows are of versions that are not the latest ones: the files are sent, which brings them back."""
    await history.download()
    assert (await history.sync()).checked == "manifest"
    await history.download(as_of=1500.0)
    report = await history.sync()
    assert (report.checked, report.uploaded) == ("list", 3)
    bodies = history.memory.bodies()
    assert {key: bodies[f"p/{key}"] for key in OLD} == OLD


async def test_the_manifest_does_not_say_that_the_present_is_in_step(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where each key of now was there then."""
    kept_versions(bench.memory)
    for second, body in ((1000.5, b"old"), (2000.5, b"new")):
        monkeypatch.setattr(bench.memory, "_clock", lambda second=second: second)
        await bench.store({"a": body, "same": b"same"})
    await bench.download(as_of=1500.0)
    report = await bench.sync()
    assert (report.checked, report.uploaded, report.kept) == ("list", 1, 1)
    assert bench.memory.bodies()["p/a"] == b"old"


async def test_a_file_that_was_changed_here_stays(history: Bench) -> None:
    await history.download()
    (history.root / "a").write_bytes(b"mine")
    report = await history.download(as_of=1500.0)
    assert (report.conflicts, report.exit_code) == (1, 3)
    assert (history.root / "a").read_bytes() == b"mine"


async def test_verify_compares_with_the_time(history: Bench) -> None:
    await history.download(as_of=1500.0)
    assert (await verify_down(history, as_of=1500.0)).differing == 0
    assert (await verify_down(history)).differing == 4


async def test_an_endpoint_may_list_in_another_order(history: Bench) -> None:
    history.memory._order = lambda key: tuple(reversed(key.split("/")))
    assert (await history.download(as_of=1500.0)).downloaded == len(OLD)
    assert body_tree(history.root) == OLD


async def test_a_bucket_without_versions_is_refused(bench: Bench) -> None:
    await bench.store({"a": b"1"})
    with pytest.raises(UsageError, match="s3://bucket keeps no versions"):
        await bench.download(as_of=1500.0)
    assert body_tree(bench.root) == {}
    with pytest.raises(UsageError, match="as_of: a directory has no versions"):
        check_upload_options(SyncOptions(as_of=1.0))


@pytest.mark.parametrize("apart", [False, True], ids=["on the server", "through memory"])
async def test_a_copy_takes_what_was_there_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    bench = CopyBench(tmp_path, apart=apart)
    kept_versions(bench.source)
    monkeypatch.setattr(bench.source, "_clock", lambda: 1000.5)
    await bench.put(OLD, content_type="text/old", tags={"age": "old"})
    await bench.put_parts("parts", bytes(5 * MIB), b"end", tags={"age": "old"})
    monkeypatch.setattr(bench.source, "_clock", lambda: 2000.5)
    await bench.put(NEW, content_type="text/new")
    await bench.put({"parts": b"whole"})
    await bench.source.delete_one(DeleteItem("a/gone"))
    report = await bench.sync(as_of=1500.0, copy_part_threshold=5 * MIB)
    assert (report.copied, report.failed) == (len(OLD) + 1, 0)
    assert bench.copies() == OLD | {"parts": bytes(5 * MIB) + b"end"}
    head = await bench.target.head("b/a")
    assert (head.content_type, head.tag_count) == ("text/old", 1)
    assert (await bench.target.head("b/parts")).etag.endswith("-2")
    again = await bench.sync(as_of=1500.0)
    assert (again.kept, again.copied) == (len(OLD) + 1, 0)
    report = await bench.sync(delete="mirror")
    assert bench.copies() == NEW | {"parts": b"whole"}
    assert report.deleted == 1
