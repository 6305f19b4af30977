"""New headers for unchanged objects: each is copied onto itself, and the report counts it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aios3sync.concurrency import Stop
from aios3sync.core.entries import SourceEntry
from aios3sync.core.keys import Location
from aios3sync.errors import AccessDeniedError, StoreError
from aios3sync.events import ObjectUpdated
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import ObjectStore
from aios3sync.store.wrappers.metrics import RequestCounts
from aios3sync.sync.explain import run_explain
from aios3sync.sync.request import SyncRequest
from aios3sync.sync.resources import Resources
from aios3sync.sync.transfers.headers import HeaderPlan
from aios3sync.sync.transfers.memory import ByteSemaphore
from aios3sync.testing.faulty import unavailable
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import MIB, Bench

pytestmark = pytest.mark.usefixtures("settle")


def sent(bench: Bench, name: str) -> dict[str, Any]:
    """Return one field of the headers of every object."""
    return {
        key.removeprefix("p/"): getattr(stored.options, name) for key, stored in bench.memory.objects.items()
    }


@pytest.fixture(params=["sqlite", "json"])
def manifest(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / f"state.{request.param}")


CHANGES: list[tuple[str, Any, Any]] = [
    ("cache_control", "max-age=60", "no-cache"),
    ("content_type", "text/plain", "text/x-log"),
    ("content_disposition", "inline", "attachment"),
    ("content_language", "de", "en"),
    ("expires", "Thu, 01 Dec 1994 16:00:00 GMT", "Fri, 02 Dec 1994 16:00:00 GMT"),
    ("storage_class", "STANDARD_IA", "ONEZONE_IA"),
    ("acl", "private", "public-read"),
    ("sse", "AES256", "aws:kms"),
    ("tags", {"a": "1"}, {"a": "2"}),
]


@pytest.mark.parametrize("check", ["auto", "list", "content"])
@pytest.mark.parametrize(("name", "before", "after"), CHANGES, ids=[name for name, *_ in CHANGES])
async def test_another_header_is_copied_to_unchanged_objects(
    bench: Bench, name: str, before: Any, after: Any, check: str
) -> None:
    bench.tree({"a.txt": "one", "d/b": "two"})
    await bench.sync(**{name: before})
    changed = await bench.sync(**{name: after}, check=check)
    assert (changed.updated, changed.uploaded, changed.kept, changed.failed) == (2, 0, 0, 0)
    assert changed.requests.get("CopyObject") == 2
    assert "PutObject" not in changed.requests
    assert sent(bench, name) == {"a.txt": after, "d/b": after}
    assert bench.objects() == {"a.txt": b"one", "d/b": b"two"}
    again = await bench.sync(**{name: after})
    assert (again.kept, again.updated, again.requests) == (2, 0, {})
    listed = await bench.sync(**{name: after}, check="list")
    assert (listed.kept, listed.requests) == (2, {"ListObjectsV2": 1})


async def test_changed_metadata_is_copied_and_our_own_stays(bench: Bench) -> None:
    bench.tree({"a": "one"})
    await bench.sync(metadata={"owner": "x", "old": "1"})
    mtime = sent(bench, "metadata")["a"]["mtime"]
    assert (await bench.sync(metadata={"owner": "y"})).updated == 1
    assert sent(bench, "metadata")["a"] == {"owner": "y", "mtime": mtime}


async def test_a_header_that_is_no_longer_asked_for_is_removed(bench: Bench) -> None:
    bench.tree({"a": "one"})
    await bench.sync(cache_control="no-cache")
    assert (await bench.sync()).updated == 1
    assert sent(bench, "cache_control") == {"a": ""}
    assert (await bench.sync()).requests == {}


async def test_a_copy_keeps_all_other_headers(bench: Bench) -> None:
    """A copy without a storage class would be STANDARD, one without encryption that of the bucket."""
    bench.tree({"a.json": "one"})
    kms = {"sse": "aws:kms", "sse_kms_key_id": "key"}
    await bench.sync(storage_class="STANDARD_IA", tags={"t": "1"}, gzip=("json",), **kms)
    options = bench.memory.objects["p/a.json"].options
    report = await bench.sync(cache_control="no-cache", gzip=("json",))
    assert report.updated == 1
    after = bench.memory.objects["p/a.json"].options
    for name in ("content_encoding", "storage_class", "sse", "sse_kms_key_id", "tags", "metadata"):
        assert getattr(after, name) == getattr(options, name), name
    assert after.cache_control == "no-cache"
    assert (await bench.sync(cache_control="no-cache", gzip=("json",))).kept == 1


async def test_a_guessed_content_type_keeps_its_charset(bench: Bench) -> None:
    plan = HeaderPlan.of(SyncOptions(cache_control="no-cache"))
    bench.tree({"a.html": "<p>"})
    await bench.sync()
    entry = (await bench.memory.head("p/a.html"))._replace(content_type="text/html; charset=utf-8")
    file = SourceEntry("a.html", 3, 0, 0, 0)
    assert plan.for_copy(file, entry).content_type == "text/html; charset=utf-8"
    other = entry._replace(content_type="text/x-mine")
    assert plan.for_copy(file, other).content_type == "text/html"


@pytest.mark.parametrize("changed", ["touched", "unsettled"])
async def test_new_headers_and_a_new_stat_are_one_update(
    bench: Bench, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"a": "one"})
    if changed == "unsettled":
        with monkeypatch.context() as patch:
            patch.setattr("aios3sync.local.digest.SETTLING_NS", int(3600e9))
            await bench.sync()
    else:
        await bench.sync()
        os.utime(bench.root / "a")
    report = await bench.sync(cache_control="no-cache")
    assert (report.updated, report.touched, report.uploaded) == (1, 0, 0)
    assert (await bench.sync(cache_control="no-cache")).requests == {}


async def test_the_new_etag_of_a_multipart_object_is_recorded(bench: Bench) -> None:
    """CopyObject makes one part of many: the ETag changes, the content does not."""
    bench.tree({"big": b"x" * (11 * MIB)})
    await bench.sync(part_size=5 * MIB, multipart_threshold=5 * MIB)
    before = bench.memory.objects["p/big"].etag
    report = await bench.sync(cache_control="no-cache", multipart_threshold=5 * MIB)
    after = bench.memory.objects["p/big"].etag
    assert report.updated == 1
    assert before.endswith("-3")
    assert "-" not in after
    listed = await bench.sync(cache_control="no-cache", check="list")
    assert (listed.kept, listed.requests) == (1, {"ListObjectsV2": 1})


async def test_upload_sends_files_with_other_headers_again(bench: Bench) -> None:
    bench.tree({"a": "one"})
    await bench.sync()
    report = await bench.sync(cache_control="no-cache", metadata_update="upload")
    assert (report.uploaded, report.updated, report.requests) == (1, 0, {"PutObject": 1})
    assert (await bench.sync(cache_control="no-cache")).requests == {}


async def test_off_leaves_headers_as_they_are(bench: Bench) -> None:
    bench.tree({"a": "one"})
    await bench.sync()
    report = await bench.sync(cache_control="no-cache", metadata_update="off")
    assert (report.kept, report.requests) == (1, {})


async def test_a_dry_run_counts_updates_and_makes_none(bench: Bench) -> None:
    bench.tree({"a": "one"})
    await bench.sync()
    report = await bench.sync(cache_control="no-cache", dry_run=True)
    assert (report.updated, report.requests) == (1, {})
    assert [event.key for event in bench.events if isinstance(event, ObjectUpdated)] == ["a"]
    assert sent(bench, "cache_control") == {"a": ""}
    assert (await bench.sync(cache_control="no-cache")).updated == 1


async def test_headers_by_pattern_reach_only_matching_keys(bench: Bench) -> None:
    bench.tree({"index.html": "<p>", "d/a.html": "<p>", "a.css": "b{}"})
    await bench.sync(cache_control="max-age=60")
    rules = ("*.html:cache-control=no-cache", "d/*:x-amz-meta-part=d")
    report = await bench.sync(cache_control="max-age=60", header_for=rules)
    assert (report.updated, report.kept) == (2, 1)
    assert sent(bench, "cache_control") == {
        "index.html": "no-cache",
        "d/a.html": "no-cache",
        "a.css": "max-age=60",
    }
    assert sent(bench, "metadata")["d/a.html"]["part"] == "d"
    again = await bench.sync(cache_control="max-age=60", header_for=rules)
    assert (again.kept, again.requests) == (3, {})
    bench.tree({"new.html": "<p>"})
    assert (await bench.sync(cache_control="max-age=60", header_for=rules)).uploaded == 1
    assert sent(bench, "cache_control")["new.html"] == "no-cache"


async def test_a_pattern_that_matches_no_file_is_reported(bench: Bench) -> None:
    bench.tree({"a.html": "<p>", "b.css": "b{}"})
    rules = ("*.html:cache-control=no-cache", "*.htm:cache-control=no-store")
    for options in ({"dry_run": True}, {}, {}, {"check": "list"}, {"check": "content"}):
        report = await bench.sync(header_for=rules, **options)
        assert report.warnings == ("--header-for '*.htm:cache-control=no-store' matched no file",)
    assert (await bench.sync(header_for=rules, metadata_update="off")).warnings == ()


async def test_rows_without_recorded_headers_are_kept_until_asked(bench: Bench, manifest: str) -> None:
    bench.tree({"a": "one", "b": "two"})
    await bench.sync(manifest=manifest)
    if manifest.endswith("sqlite"):
        with sqlite3.connect(manifest) as connection:
            connection.execute("ALTER TABLE entries DROP COLUMN headers")
        connection.close()
    else:
        path = Path(manifest)
        path.write_text(path.read_text().replace('"headers"', '"not_known"'))
    plain = await bench.sync(manifest=manifest)
    assert (plain.kept, plain.requests, plain.warnings) == (2, {}, ())
    asked = await bench.sync(manifest=manifest, cache_control="no-cache")
    assert (asked.kept, asked.updated, asked.requests) == (2, 0, {})
    assert "--metadata-update copy" in asked.warnings[0]
    wanted = await bench.sync(manifest=manifest, cache_control="no-cache", metadata_update="copy")
    assert (wanted.updated, wanted.warnings) == (2, ())
    assert (await bench.sync(manifest=manifest, cache_control="no-cache")).requests == {}


async def test_adopted_objects_have_unknown_headers(bench: Bench, tmp_path: Path) -> None:
    bench.tree({"a": "one"})
    await bench.sync(manifest=str(tmp_path / "one"))
    report = await bench.sync(manifest=str(tmp_path / "other"), cache_control="no-cache")
    assert (report.adopted, report.updated) == (1, 0)
    assert "--metadata-update copy" in report.warnings[0]


@pytest.mark.parametrize("moment", ["before", "between"])
async def test_an_object_that_was_replaced_is_uploaded_not_copied(bench: Bench, moment: str) -> None:
    bench.tree({"a": "one", "b": "two"})
    await bench.sync()

    def replace_it(result: Any) -> Any:
        stored = bench.memory.objects["p/a"]
        bench.memory.objects["p/a"] = type(stored)(b"other", "0" * 32, stored.options, 0.0)
        return result

    if moment == "before":
        replace_it(None)
    else:
        bench.faults.on("head", key="p/a", change=replace_it)
    report = await bench.sync(cache_control="no-cache")
    assert (report.uploaded, report.updated, report.failed, report.checked) == (1, 1, 0, "list")
    assert bench.objects() == {"a": b"one", "b": b"two"}
    assert sent(bench, "cache_control") == {"a": "no-cache", "b": "no-cache"}


async def test_an_object_that_is_gone_is_uploaded(bench: Bench) -> None:
    bench.tree({"a": "one"})
    await bench.sync()
    del bench.memory.objects["p/a"]
    report = await bench.sync(cache_control="no-cache")
    assert (report.uploaded, report.updated, report.failed) == (1, 0, 0)


async def test_a_refused_copy_fails_with_a_hint(bench: Bench) -> None:
    bench.tree({"a": "one", "b": "two"})
    await bench.sync()
    bench.faults.on(
        "copy",
        key="p/a",
        times=-1,
        error=AccessDeniedError("no s3:GetObjectTagging", code="AccessDenied", status=403),
    )
    report = await bench.sync(cache_control="no-cache")
    assert (report.failed, report.updated, report.exit_code) == (1, 1, 3)
    (failure,) = report.errors
    assert (failure.key, failure.stage) == ("a", "update")
    assert "--metadata-update upload" in failure.error


async def test_an_endpoint_without_copies_is_asked_once_and_gets_the_files_again(bench: Bench) -> None:
    bench.tree({"a": "one", "b": "two", "c": "three"})
    await bench.sync()
    error = StoreError("no", code="NotImplemented", status=501)
    bench.faults.on("copy", times=-1, error=error)
    report = await bench.sync(cache_control="no-cache")
    assert (report.uploaded, report.updated, report.failed) == (3, 0, 0)
    assert ["--metadata-update off" in warning for warning in report.warnings] == [True]
    assert set(sent(bench, "cache_control").values()) == {"no-cache"}
    assert (await bench.sync(cache_control="no-cache")).requests == {}


async def test_a_copy_whose_response_was_lost_is_made_again(bench: Bench) -> None:
    bench.tree({"a": "one"})
    await bench.sync()
    bench.faults.on("copy", late=unavailable())
    report = await bench.sync(cache_control="no-cache")
    assert (report.updated, report.failed) == (1, 0)
    assert (await bench.sync(cache_control="no-cache")).requests == {}


async def test_encryption_with_opaque_etags_is_no_reason_to_upload(bench: Bench) -> None:
    bench.memory = MemoryStore(default_encryption="aws:kms")
    bench.faults.inner = bench.memory
    bench.tree({"a": "one"})
    await bench.sync()
    report = await bench.sync(cache_control="no-cache")
    assert (report.updated, report.uploaded) == (1, 0)
    assert (await bench.sync(cache_control="no-cache", check="list")).kept == 1


async def test_explain_says_that_the_headers_would_be_updated(bench: Bench) -> None:
    bench.tree({"a": "one"})
    await bench.sync()

    async def opened() -> ObjectStore:
        return bench.memory

    for options, action in ((SyncOptions(), "keep"), (SyncOptions(cache_control="no-cache"), "update")):
        request = SyncRequest(
            root=str(bench.root),
            location=Location.parse(bench.target),
            endpoint=bench.endpoint,
            options=options,
        )
        resources = Resources(open_store=opened, memory=ByteSemaphore(MIB), workers=1, counts=RequestCounts())
        assert (await run_explain(request, resources, "a")).action == action


async def test_a_stop_cancels_the_updates_that_have_not_begun(bench: Bench) -> None:
    bench.tree({f"f{n:03}": str(n) for n in range(100)})
    await bench.sync()

    def stop(result: Any) -> Any:
        bench.stop.request()
        return result

    bench.faults.on("copy", change=stop, times=1)
    report = await bench.sync(cache_control="no-cache")
    assert (report.interrupted, report.failed) == (2, 0)
    assert report.updated + report.cancelled == 100
    assert report.cancelled > 0
    bench.stop = Stop()
    again = await bench.sync(cache_control="no-cache")
    assert (again.updated, again.kept) == (report.cancelled, report.updated)


def test_different_headers_have_different_digests() -> None:
    digests = {
        HeaderPlan.of(SyncOptions(**{name: value})).common.digest
        for name, *values in CHANGES
        for value in values
    }
    assert len(digests) == 2 * len(CHANGES)
    assert HeaderPlan.of(SyncOptions()).common.digest == "-"
    assert HeaderPlan.of(SyncOptions(guess_content_type=False)).common.digest != "-"
    one = HeaderPlan.of(SyncOptions(metadata={"a": "1", "b": "2"})).common.digest
    assert one == HeaderPlan.of(SyncOptions(metadata={"b": "2", "a": "1"})).common.digest
