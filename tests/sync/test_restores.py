"""Archived objects of a download: left alone, asked for, and fetched once they are restored."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from aios3sync.errors import StoreError, UsageError
from aios3sync.events import PhaseBegan
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import ListPage, PutOptions, RestoreRequest, StoreCapabilities
from aios3sync.sync.copy_options import check_copy_options
from aios3sync.sync.download_options import check_download_options
from aios3sync.sync.upload_options import check_upload_options
from tests.sync.conftest import Bench, body_tree
from tests.sync.copying import MIB, CopyBench

pytestmark = pytest.mark.usefixtures("settle")

LARGE = bytes(9 * 2**20)


def without_status(page: ListPage) -> ListPage:
    """The page of an endpoint that does not say what is restored."""
    return page._replace(entries=[entry._replace(restore="") for entry in page.entries])


async def cold(bench: Bench, storage_class: str = "GLACIER") -> None:
    await bench.store({"cold": b"12345", "large": LARGE}, storage_class=storage_class)
    await bench.store({"warm": b"1"})


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
@pytest.mark.parametrize("again", [{}, {"restore": 3}], ids=["plain", "with --restore"])
async def test_what_is_restored_comes_with_a_later_run(
    bench: Bench, storage_class: str, again: dict[str, Any]
) -> None:
    await cold(bench, storage_class)
    report = await bench.download(restore=3, restore_tier="bulk")
    assert (report.downloaded, report.restoring, report.archived, report.exit_code) == (1, 2, 0, 0)
    assert report.archived_bytes == 5 + len(LARGE)
    assert report.requests["RestoreObject"] == 2
    assert bench.faults.calls["get"] == 1, "what is archived was not tried"
    [line] = report.warnings
    assert "2 of them are being restored" in line

    report = await bench.download(**again)
    assert (report.downloaded, report.restoring, report.requests.get("RestoreObject", 0)) == (0, 2, 0)

    bench.memory.restored("p/cold")
    bench.memory.restored("p/large")
    report = await bench.download(**again)
    assert (report.downloaded, report.restoring, report.archived, report.warnings) == (2, 0, 0, ())
    assert body_tree(bench.root) == {"cold": b"12345", "large": LARGE, "warm": b"1"}
    report = await bench.download(**again)
    assert (report.kept, report.planned) == (3, 3)


async def test_without_the_option_one_line_says_how(bench: Bench) -> None:
    await cold(bench)
    report = await bench.download()
    assert (report.archived, report.restoring, report.requests.get("RestoreObject", 0)) == (2, 0, 0)
    [line] = report.warnings
    assert "'--restore DAYS'" in line


async def test_an_endpoint_may_not_tell_what_is_restored(bench: Bench) -> None:
    """Then each run asks, and what is there already is fetched at once."""
    await cold(bench)
    bench.faults.on("list_page", change=without_status, times=-1)
    assert (await bench.download(restore=1)).restoring == 2
    report = await bench.download(restore=1)
    assert (report.restoring, report.failed, report.requests["RestoreObject"]) == (2, 0, 2)
    bench.memory.restored("p/cold")
    bench.memory.restored("p/large")
    report = await bench.download(restore=1)
    assert (report.restoring, report.downloaded, report.exit_code) == (0, 2, 0)


async def test_a_dry_run_asks_for_nothing(bench: Bench) -> None:
    await cold(bench)
    report = await bench.download(restore=1, dry_run=True)
    assert (report.downloaded, report.restoring, report.requests.get("RestoreObject", 0)) == (1, 2, 0)
    assert "would be restored" in report.warnings[0]


async def test_deep_archives_know_no_expedited_restore(bench: Bench) -> None:
    await cold(bench, "DEEP_ARCHIVE")
    report = await bench.download(restore=1, restore_tier="expedited")
    assert (report.failed, report.restoring, report.exit_code) == (2, 0, 3)
    assert "--restore-tier standard" in report.errors[0].error
    assert "RestoreObject" not in report.requests


async def test_a_tier_without_room_is_a_failure_that_says_so(bench: Bench) -> None:
    await cold(bench)
    code = "GlacierExpeditedRetrievalNotAvailable"
    bench.faults.on("restore", key="p/cold", error=StoreError(f"no room ({code})", code=code, status=503))
    report = await bench.download(restore=1, restore_tier="expedited")
    assert (report.failed, report.restoring, report.downloaded) == (1, 1, 1)
    assert (report.errors[0].stage, report.errors[0].key) == ("restore", "cold")
    assert report.retries == 0


@pytest.mark.parametrize("size", [5, len(LARGE)])
async def test_archived_objects_of_intelligent_tiering_take_no_days(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Their class does not tell: the refused read does."""
    await bench.store({"it": bytes(size)}, storage_class="INTELLIGENT_TIERING")
    refusal = StoreError("archived", code="InvalidObjectState", status=403)
    bench.faults.on("get", error=refusal, times=-1)
    asked: list[RestoreRequest] = []

    async def restore(key: str, request: RestoreRequest) -> bool:
        asked.append(request)
        return False

    monkeypatch.setattr(bench.memory, "restore", restore)
    report = await bench.download(restore=7)
    assert (report.restoring, report.failed) == (1, 0)
    assert asked == [RestoreRequest("standard", 0)]
    assert (await bench.download()).archived == 1


async def test_an_object_that_is_in_no_archive_any_more_is_fetched(bench: Bench) -> None:
    await cold(bench)
    bench.memory.restored("p/cold")
    bench.faults.on("list_page", change=without_status, times=-1)
    bench.faults.on("restore", key="p/cold", error=StoreError("no", code="InvalidObjectState", status=403))
    report = await bench.download(restore=1)
    assert (report.downloaded, report.restoring, report.failed) == (2, 1, 0)


def test_options_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="restore: -1"):
        SyncOptions(restore=-1)
    with pytest.raises(UsageError, match="restore_tier: 'slow'"):
        SyncOptions(restore_tier="slow")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="restore_tier: say with restore"):
        check_download_options(SyncOptions(restore_tier="bulk"), "/t")
    with pytest.raises(UsageError, match="restore_tier: say with restore"):
        check_copy_options(SyncOptions(restore_tier="bulk"))
    with pytest.raises(UsageError, match="restore: only objects of a bucket that is the source"):
        check_upload_options(SyncOptions(restore=1))
    with pytest.raises(UsageError, match="restore_tier: only objects of a bucket that is the source"):
        check_upload_options(SyncOptions(restore_tier="bulk"))


@pytest.mark.parametrize("status", [400, 501])
async def test_an_endpoint_may_refuse_to_be_asked_for_restores(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """It is asked once; what is restored is found out by asking for it."""
    await cold(bench)
    bench.memory._page_size = lambda _: 1
    inner, asked = bench.memory.list_page, []

    async def list_page(prefix: str, *, restores: bool = False, **facts: Any) -> ListPage:
        asked.append(restores)
        if restores:
            raise StoreError("unknown header", code="InvalidArgument", status=status)
        return await inner(prefix, **facts)

    monkeypatch.setattr(bench.memory, "list_page", list_page)
    report = await bench.download(list_workers=1)
    assert (report.downloaded, report.archived, report.failed) == (1, 2, 0)
    assert asked == [True, False, False, False]


async def test_another_refusal_of_the_listing_stays_one(bench: Bench) -> None:
    await cold(bench)
    bench.faults.on("list_page", error=StoreError("no", code="InvalidRequest", status=400), times=-1)
    with pytest.raises(StoreError, match="no"):
        await bench.download()


# Between buckets


@pytest.fixture(params=[False, True], ids=["on the server", "through memory"])
async def copies(request: pytest.FixtureRequest, tmp_path: Path) -> CopyBench:
    """Two buckets, of one endpoint or of two; two objects of the source are archived."""
    bench = CopyBench(tmp_path, apart=request.param)
    await bench.put({"cold": b"12345", "large": LARGE}, storage_class="GLACIER")
    await bench.put({"warm": b"1"})
    return bench


async def test_archived_objects_are_copied_by_a_later_run(copies: CopyBench) -> None:
    report = await copies.sync()
    assert (report.copied, report.archived, report.restoring, report.exit_code) == (1, 2, 0, 0)
    assert (report.archived_bytes, report.requests.get("RestoreObject", 0)) == (5 + len(LARGE), 0)
    assert report.warnings[0].endswith(
        "'--restore DAYS' restores them for some days, and a later run copies them"
    )

    report = await copies.sync(restore=3, restore_tier="bulk")
    assert (report.copied, report.archived, report.restoring, report.exit_code) == (0, 0, 2, 0)
    assert report.requests["RestoreObject"] == 2
    assert copies.copies() == {"warm": b"1"}
    assert report.warnings[0].endswith("2 of them are being restored, and a later run copies them")

    report = await copies.sync(restore=3)
    assert (report.copied, report.restoring, report.requests.get("RestoreObject", 0)) == (0, 2, 0)

    copies.source.restored("a/cold")
    copies.source.restored("a/large")
    report = await copies.sync(copy_part_threshold=8 * MIB)
    assert (report.copied, report.archived, report.restoring, report.warnings) == (2, 0, 0, ())
    assert copies.copies() == {"cold": b"12345", "large": LARGE, "warm": b"1"}


async def test_archived_objects_hold_no_deletes_back(copies: CopyBench) -> None:
    await copies.target.put("b/gone", b"x", PutOptions(), md5=hashlib.md5(b"x").digest())  # noqa: S324
    report = await copies.sync(delete="mirror")
    assert (report.copied, report.archived, report.deleted, report.exit_code) == (1, 2, 1, 0)


async def test_a_dry_run_of_copies_asks_for_nothing(copies: CopyBench) -> None:
    report = await copies.sync(restore=1, dry_run=True)
    assert (report.copied, report.restoring, report.requests.get("RestoreObject", 0)) == (1, 2, 0)
    assert "would be restored" in report.warnings[0]


@pytest.mark.parametrize("days", [0, 7])
async def test_a_copy_that_is_refused_for_an_archive_is_asked_for(
    copies: CopyBench, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Intelligent-Tiering: the class does not tell, the refused copy does; no number of days is sent."""
    await copies.put({"it": b"123"}, storage_class="INTELLIGENT_TIERING")
    refusal = StoreError("archived", code="InvalidObjectState", status=403)
    for faults, operation in ((copies.reads, "get"), (copies.writes, "copy")):
        faults.on(operation, key="a/it" if operation == "get" else "b/it", error=refusal, times=-1)
    asked: list[tuple[str, RestoreRequest]] = []

    async def restore(key: str, request: RestoreRequest) -> bool:
        asked.append((key, request))
        return False

    monkeypatch.setattr(copies.source, "restore", restore)
    report = await copies.sync(restore=days, exclude=("cold", "large"))
    assert (report.copied, report.failed) == (1, 0)
    assert (report.restoring, report.archived) == ((1, 0) if days else (0, 1))
    assert asked == ([("a/it", RestoreRequest("standard", 0))] if days else [])


@pytest.mark.parametrize("restore", [0, 1])
async def test_a_second_comparison_counts_each_archived_object_once(bench: Bench, restore: int) -> None:
    """The listing was in order before, and is not any more: that shows after the first archived object."""
    bench.memory._capabilities = StoreCapabilities(sorted_listing=False)
    await cold(bench)
    bench.memory._page_size = lambda _: 1
    assert (await bench.download()).archived == 2
    places = {"p/cold": 0, "p/warm": 1, "p/large": 2}
    bench.memory._order = lambda key: places.get(key, -1)
    report = await bench.download(restore=restore, list_workers=1)
    assert bench.events.count(PhaseBegan("compare")) == 1 + 2
    assert (report.archived, report.restoring) == ((0, 2) if restore else (2, 0))
    assert report.archived_bytes == 5 + len(LARGE)
