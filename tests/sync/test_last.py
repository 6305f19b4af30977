"""What comes last is sent when all the rest has arrived, and not at all when something has not."""

from __future__ import annotations

from typing import Any

import pytest

from aios3sync.errors import StoreError
from tests.sync.conftest import Bench, body_tree

pytestmark = pytest.mark.usefixtures("settle")
LAST: dict[str, Any] = {"last": ("index.html", "*.json")}
SITE: dict[str, bytes | str | None] = {
    "a.json": "1",
    "b/c.html": "2",
    "b/index.html": "3",
    "index.html": "4",
    "z.css": "5",
}


def sent(bench: Bench) -> list[str]:
    return [str(key).removeprefix("p/") for verb, key in bench.faults.keys if verb == "put"]


async def test_the_rest_comes_first(bench: Bench) -> None:
    bench.tree(SITE)
    report = await bench.sync(**LAST)
    assert report.uploaded == 5
    assert set(sent(bench)[:3]) == {"b/c.html", "b/index.html", "z.css"}
    assert set(sent(bench)[3:]) == {"a.json", "index.html"}
    assert bench.objects() == body_tree(bench.root)


async def test_a_failure_keeps_them_back_and_the_next_run_sends_them(bench: Bench) -> None:
    bench.tree(SITE)
    bench.faults.on("put", key="p/z.css", error=StoreError("no", operation="PutObject"))
    report = await bench.sync(**LAST)
    assert (report.uploaded, report.failed, report.cancelled, report.exit_code) == (2, 1, 2, 3)
    assert {failure.error for failure in report.errors if failure.key != "z.css"} == {
        "it comes last, and 1 of the others failed"
    }
    assert bench.objects().keys() == {"b/c.html", "b/index.html"}
    assert (await bench.sync(**LAST)).uploaded == 3
    assert bench.objects() == body_tree(bench.root)


async def test_deletes_come_after_them(bench: Bench) -> None:
    bench.tree(SITE)
    await bench.sync()
    (bench.root / "z.css").unlink()
    bench.tree({"y.css": "6", "index.html": "44"})
    await bench.sync(delete="mirror", **LAST)
    verbs = [verb for verb, key in bench.faults.keys if verb in ("put", "delete_many")]
    assert verbs[-1] == "delete_many"
    assert sent(bench)[-1] == "index.html"


async def test_a_comparison_that_begins_again_holds_them_once(bench: Bench) -> None:
    """Without a listing first, and with one when a delete needs it: planned and sent once each."""
    bench.tree(SITE)
    await bench.sync()
    bench.tree({"index.html": "44", "n.css": "7"})
    (bench.root / "z.css").unlink()
    report = await bench.sync(delete="tracked", **LAST)
    assert (report.uploaded, report.deleted, report.failed) == (2, 1, 0)
    assert bench.objects() == body_tree(bench.root)


async def test_only_what_comes_last_has_changed(bench: Bench) -> None:
    bench.tree(SITE)
    await bench.sync(**LAST)
    bench.tree({"index.html": "44"})
    report = await bench.sync(**LAST)
    assert (report.uploaded, report.kept) == (1, 4)


async def test_downloads_have_an_order_too(bench: Bench) -> None:
    await bench.store({"index.html": b"1", "a": b"2", "z": b"3"})
    bench.faults.on("get", key="p/z", error=StoreError("no", operation="GetObject"), times=-1)
    report = await bench.download(**LAST)
    assert (report.downloaded, report.failed, report.cancelled) == (1, 1, 1)
    assert body_tree(bench.root) == {"a": b"2"}


async def test_a_stop_ends_a_run_that_holds_some(bench: Bench) -> None:
    bench.tree(SITE)
    bench.faults.on("put", key="p/z.css", error=StoreError("no", operation="PutObject"))
    bench.on_event = lambda event: bench.stop.request() if type(event).__name__ == "ObjectUploaded" else None
    report = await bench.sync(**LAST)
    assert report.interrupted
    assert report.balanced
