"""A sync that finds nothing to do is reported as a run reports it; all else is left to a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aios3sync._dataclass import replace
from aios3sync.concurrency import in_thread
from aios3sync.core.filters import Filters
from aios3sync.core.keys import Location
from aios3sync.manifest.lock import hold_lock, lock_path
from aios3sync.manifest.unfinished import UnfinishedUpload, UnfinishedUploads
from aios3sync.options import SyncOptions
from aios3sync.report import SyncReport
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.request import SyncRequest, manifest_path
from aios3sync.sync.small_run import run_small
from tests.sync.conftest import Bench, same_size_change

pytestmark = pytest.mark.usefixtures("settle", "patient")
FILES: dict[str, bytes | str | None] = {"a": "1", "b/c": "22", "b/d.log": "333", "é": ""}


async def unchanged(request: SyncRequest) -> SyncReport | None:
    return await in_thread(run_small, request)


def request_of(bench: Bench, **options: Any) -> SyncRequest:
    return SyncRequest(
        root=str(bench.root),
        location=Location.parse(bench.target),
        endpoint=bench.endpoint,
        options=SyncOptions(**options),
    )


def comparable(report: SyncReport | None) -> SyncReport | None:
    """Without what differs from second to second."""
    if report is None:
        return None
    return replace(report, elapsed_s=0.0, knowledge_age_s=report.knowledge_age_s is not None)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"delete": "tracked"},
        {"exclude": ("*.log",)},
        {"exclude": ("*.none",)},
        {"gitignore": True},
        {"no_list": True},
        {"symlinks": "skip"},
    ],
    ids=str,
)
async def test_the_report_is_that_of_a_run(bench: Bench, options: dict[str, Any]) -> None:
    bench.tree(FILES)
    await bench.sync(**options)
    found = await unchanged(request_of(bench, **options))
    assert found is not None
    assert comparable(found) == comparable(await bench.sync(**options))
    assert found.kept == (3 if options.get("exclude") == ("*.log",) else 4)
    assert bool(found.warnings) == (options.get("exclude") == ("*.none",))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow source."""
    monkeypatch.setattr("aios3sync.sync.small_run._PATIENCE_S", 600)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _empty(root: Path) -> None:
    root.rename(root.with_name("old"))
    root.mkdir()


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda root: _write(root / "new", "x"),
    "a changed file": lambda root: _write(root / "a", "xyz"),
    "a changed file of the same size and time": lambda root: same_size_change(root / "a"),
    "a touched file": lambda root: os.utime(root / "a", (1, 1)),
    "a file that is gone": lambda root: (root / "b/c").unlink(),
    "the last file gone": lambda root: (root / "é").unlink(),
    "a link that leads nowhere": lambda root: (root / "link").symlink_to("nowhere"),
    "a special file": lambda root: os.mkfifo(root / "fifo"),
    "an empty source": _empty,
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_left_to_a_run(bench: Bench, change: str) -> None:
    bench.tree(FILES)
    await bench.sync()
    assert await unchanged(request_of(bench)) is not None
    CHANGES[change](bench.root)
    assert await unchanged(request_of(bench)) is None


@pytest.mark.parametrize(
    "options",
    [
        {"check": "list"},
        {"check": "content"},
        {"delete": "mirror"},
        {"incremental": False},
        {"dry_run": True},
        {"manifest": False},
        {"gzip": ("txt",)},
        {"stat_fields": ("size", "mtime")},
        {"cache_control": "no-cache"},
        {"header_for": ("*:cache-control=no-cache",)},
        {"metadata_update": "copy", "metadata": {"a": "b"}},
        {"thumbnails": 64},
        {"max_manifest_age": 0},
        {"exclude": ("a",), "delete": "mirror"},
    ],
    ids=str,
)
async def test_what_needs_more_than_stats_is_left_to_a_run(bench: Bench, options: dict[str, Any]) -> None:
    bench.tree(FILES)
    await bench.sync()
    assert await unchanged(request_of(bench, **options)) is None


async def test_a_first_run_needs_the_target(bench: Bench) -> None:
    bench.tree(FILES)
    assert await unchanged(request_of(bench)) is None
    assert not Path(await in_thread(manifest_path, request_of(bench))).exists()


async def test_the_run_after_a_failed_upload_is_left_to_a_run(bench: Bench) -> None:
    bench.tree(FILES)
    await bench.sync()
    (bench.root / "a").write_text("changed")
    (bench.root / "a").chmod(0)
    bench.stop.request()
    await bench.sync()
    (bench.root / "a").chmod(0o600)
    assert await unchanged(request_of(bench)) is None


async def test_another_run_at_work_is_left_to_a_run_to_report(bench: Bench) -> None:
    bench.tree(FILES)
    await bench.sync()
    request = request_of(bench)
    lock = hold_lock(lock_path(await in_thread(manifest_path, request)))
    await in_thread(lock.__enter__)
    assert await unchanged(request) is None
    await in_thread(lock.__exit__, None, None, None)
    assert await unchanged(request) is not None


async def test_a_damaged_or_foreign_manifest_is_left_as_it_is(bench: Bench) -> None:
    bench.tree(FILES)
    await bench.sync()
    request = request_of(bench)
    path = Path(await in_thread(manifest_path, request))
    for content in (b"garbage", path.read_bytes()[:5000]):
        path.write_bytes(content)
        assert await unchanged(request) is None
        assert path.read_bytes()[: len(content)] == content
    assert not list(path.parent.glob("*set-aside*"))


async def test_a_missing_source_is_left_to_a_run_to_report(bench: Bench) -> None:
    bench.tree(FILES)
    await bench.sync()
    bench.root.rename(bench.root.with_name("moved"))
    assert await unchanged(request_of(bench)) is None


async def test_a_large_or_slow_source_is_left_to_a_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.tree(FILES)
    await bench.sync()
    with monkeypatch.context() as patch:
        patch.setattr("aios3sync.sync.small_run._MOST_ROWS", 3)
        assert await unchanged(request_of(bench)) is None
    monkeypatch.setattr("aios3sync.sync.small_run._PATIENCE_S", -1)
    assert await unchanged(request_of(bench)) is None


async def test_nothing_is_written(bench: Bench) -> None:
    bench.tree(FILES)
    await bench.sync()
    request = request_of(bench)
    path = Path(await in_thread(manifest_path, request))
    before = path.read_bytes()
    assert await unchanged(request) is not None
    assert path.read_bytes() == before


async def test_a_source_on_another_device_is_left_to_a_run_to_judge(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree(FILES)
    await bench.sync()
    monkeypatch.setattr("aios3sync.local.root.TreeRoot.may_be_swapped", lambda *_: True)
    assert await unchanged(request_of(bench)) is None


async def test_headers_that_are_asked_for_are_left_to_a_run_to_compare(bench: Bench) -> None:
    bench.tree(FILES)
    await bench.sync(cache_control="no-cache")
    assert await unchanged(request_of(bench, cache_control="no-cache")) is None


async def test_a_source_that_is_slow_though_nothing_of_it_is_visible_is_left_to_a_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not walked to its end first: a run would walk it once more, and only a run can be stopped."""
    bench.tree({"a": "1", **{f"b/{number:04}.log": "" for number in range(200)}})
    options: dict[str, Any] = {"exclude": ("*.log",)}
    await bench.sync(**options)
    assert await unchanged(request_of(bench, **options)) is not None
    asked: list[str] = []
    visible = Filters.visible

    def ask(self: Filters, key: str) -> bool:
        asked.append(key)
        return visible(self, key)

    monkeypatch.setattr(Filters, "visible", ask)
    monkeypatch.setattr("aios3sync.local.root._PAUSE_S", -1)
    monkeypatch.setattr("aios3sync.sync.manifest_diff._PATIENCE", -1)
    monkeypatch.setattr("aios3sync.sync.small_run._PATIENCE_S", -1)
    assert await unchanged(request_of(bench, **options)) is None
    assert len(asked) < 10


async def test_a_manifest_in_the_other_format_is_left_to_a_run(bench: Bench, tmp_path: Path) -> None:
    """A run sets it aside: its name promises a document."""
    bench.tree(FILES)
    await bench.sync()
    path = Path(await in_thread(manifest_path, request_of(bench)))
    misnamed = tmp_path / "manifest.json"
    misnamed.write_bytes(path.read_bytes())
    assert await unchanged(request_of(bench, manifest=str(misnamed))) is None


async def test_unfinished_uploads_are_left_to_a_run_to_end(bench: Bench) -> None:
    """A run aborts what a killed one has begun and nothing needs, and the next one is small again."""
    bench.tree(FILES)
    await bench.sync()
    path = await in_thread(manifest_path, request_of(bench))
    upload_id = await bench.memory.create_multipart("p/gone", PutOptions())
    journal = UnfinishedUploads(path, f"{bench.endpoint} bucket")
    await journal.began(UnfinishedUpload("p/gone", upload_id, "of a file that is gone"))
    assert await unchanged(request_of(bench)) is None
    await bench.sync()
    assert not (await bench.memory.list_multiparts("p/"))
    assert await unchanged(request_of(bench)) is not None
