"""A sync that lists and finds nothing to do is reported, and remembered, as a run does it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aios3sync._dataclass import dataclass, field
from aios3sync.concurrency import in_thread
from aios3sync.core.entries import TargetEntry
from aios3sync.errors import UnavailableError
from aios3sync.report import SyncReport
from aios3sync.store.protocol import ListPage, ObjectStore
from aios3sync.sync.request import SyncRequest, manifest_path
from aios3sync.sync.small_run import run_small
from aios3sync.testing.memory import MemoryStore
from tests.sync.conftest import Bench, same_size_change
from tests.sync.test_unchanged import comparable, request_of

pytestmark = pytest.mark.usefixtures("settle")
FILES: dict[str, bytes | str | None] = {"a": "1", "b/c": "22", "b/d.log": "333", "é": ""}
LISTING: dict[str, Any] = {"check": "list"}


@dataclass(slots=True)
class StorePages:
    """Pages of a store, called from a thread without an event loop."""

    store: ObjectStore
    asked: tuple[str, str | None] = ("", None)
    change: Callable[[ListPage], ListPage] = field(default=lambda page: page)

    def ask(self, prefix: str, token: str | None) -> None:
        self.asked = (prefix, token)

    def answer(self) -> ListPage:
        prefix, token = self.asked
        return self.change(asyncio.run(self.store.list_page(prefix, token=token)))

    def close(self) -> None:
        pass


async def listed(
    bench: Bench, request: SyncRequest, change: Callable[[ListPage], ListPage] = lambda page: page
) -> SyncReport | None:
    opened = partial(StorePages, bench.memory, change=change)
    return await in_thread(run_small, request, opened)


async def state(bench: Bench) -> dict[str, Any]:
    """The saved state, without the moments in it."""
    path = await in_thread(manifest_path, request_of(bench))
    with sqlite3.connect(path) as manifest:
        (text,) = manifest.execute("SELECT value FROM state WHERE name = 'state'").fetchone()
    saved = json.loads(text)
    saved["listed_at"] = saved["listed_at"] > 0
    saved["last_sync"] = saved["last_sync"] > 0
    saved["listings"] = [scope for scope, _ in saved["listings"]]
    return dict(saved)


@pytest.mark.parametrize(
    "options",
    [
        LISTING,
        {"delete": "mirror"},
        {"max_manifest_age": 0},
        {**LISTING, "delete": "tracked"},
        {**LISTING, "exclude": ("*.log",)},
        {**LISTING, "exclude": ("*.none",)},
        {**LISTING, "gitignore": True},
        {**LISTING, "delete_excluded": True, "exclude": ("x",)},
    ],
    ids=str,
)
@pytest.mark.parametrize("page_size", [1000, 2])
async def test_report_and_state_are_those_of_a_run(
    bench: Bench, options: dict[str, Any], page_size: int
) -> None:
    bench.tree(FILES)
    bench.memory = bench.faults.inner = MemoryStore(page_size=lambda _: page_size)
    await bench.sync(**options)
    if options.get("delete") != "mirror":
        await bench.store({"theirs": b"foreign"})
    whole = await bench.sync(**options)
    remembered = await state(bench)
    found = await listed(bench, request_of(bench, **options))
    assert found is not None
    assert comparable(found) == comparable(whole)
    assert found.checked == "list"
    assert found.requests == {"ListObjectsV2": -(-len(bench.objects()) // page_size)}
    assert await state(bench) == {**remembered, "run": remembered["run"] + 1}
    again = await bench.sync(**options)
    assert comparable(again) == comparable(whole)


async def test_what_was_listed_counts_for_the_next_runs(bench: Bench) -> None:
    """The listing is the one that later runs rely on."""
    bench.tree(FILES)
    await bench.sync()
    before = await bench.sync()
    assert await listed(bench, request_of(bench, **LISTING)) is not None
    after = await in_thread(run_small, request_of(bench))
    assert before.knowledge_age_s is not None
    assert after is not None
    assert after.knowledge_age_s is not None
    assert after.knowledge_age_s < before.knowledge_age_s + 60


def _replaced(page: ListPage) -> ListPage:
    first, *others = page.entries
    return page._replace(entries=[first._replace(etag="0" * 32), *others])


def _without_first(page: ListPage) -> ListPage:
    return page._replace(entries=page.entries[1:])


def _with_another(page: ListPage) -> ListPage:
    return page._replace(entries=[*page.entries, TargetEntry("p/é-more", 1, "0" * 32)])


def _in_disorder(page: ListPage) -> ListPage:
    return page._replace(entries=page.entries[::-1])


def _elsewhere(page: ListPage) -> ListPage:
    return page._replace(entries=[*page.entries, TargetEntry("q/other", 1, "0" * 32)])


def _never_ending(page: ListPage) -> ListPage:
    return page._replace(next_token="again")


def _broken(_: ListPage) -> ListPage:
    raise UnavailableError("the endpoint is gone")


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (_replaced, LISTING),
        (_without_first, LISTING),
        (_with_another, {"delete": "mirror"}),
        (_in_disorder, LISTING),
        (_elsewhere, LISTING),
        (_never_ending, LISTING),
        (_broken, LISTING),
    ],
)
async def test_a_listing_that_differs_is_left_to_a_run(
    bench: Bench, change: Callable[[ListPage], ListPage], options: dict[str, Any]
) -> None:
    bench.tree(FILES)
    await bench.sync(**options)
    before = await state(bench)
    request = request_of(bench, **options)
    assert await listed(bench, request, change) is None
    assert await state(bench) == before
    assert await listed(bench, request) is not None


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda root: (root / "new").write_text("x"),
    "a changed file": lambda root: (root / "a").write_text("xyz"),
    "a changed file of the same size and time": lambda root: same_size_change(root / "a"),
    "a file that is gone": lambda root: (root / "b/c").unlink(),
    "a link that leads nowhere": lambda root: (root / "link").symlink_to("nowhere"),
}


@pytest.mark.parametrize("delete", ["off", "tracked", "mirror"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_left_to_a_run(bench: Bench, change: str, delete: str) -> None:
    bench.tree(FILES)
    options = {**LISTING, "delete": delete}
    await bench.sync(**options)
    CHANGES[change](bench.root)
    found = await listed(bench, request_of(bench, **options))
    if change == "a file that is gone" and delete == "off":
        assert comparable(found) == comparable(await bench.sync(**options))
    else:
        assert found is None


async def test_rows_that_may_not_be_trusted_are_left_to_a_run(bench: Bench) -> None:
    """A run that has to list reads the files whose rows are too young."""
    bench.tree(FILES)
    await bench.sync()
    path = await in_thread(manifest_path, request_of(bench))
    with sqlite3.connect(path) as manifest:
        manifest.execute("UPDATE entries SET settled = 0 WHERE key = 'a'")
    manifest.close()
    assert await listed(bench, request_of(bench, **LISTING)) is None


@pytest.mark.parametrize("limit", ["rows", "keys"])
async def test_a_long_listing_is_left_to_a_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    bench.tree(FILES)
    await bench.sync()
    monkeypatch.setattr("aios3sync.sync.small_run._MOST_LISTED", 4 if limit == "keys" else 3)
    if limit == "keys":
        await bench.store({f"theirs-{number}": b"" for number in range(5)})
    assert await listed(bench, request_of(bench, **LISTING)) is None


@pytest.mark.parametrize(
    "options",
    [{"list_order": "bytes"}, {"list_order": "auto"}, {"target_listing": "inventory:s3://inventories/daily"}],
    ids=str,
)
async def test_other_ways_to_list_are_left_to_a_run(bench: Bench, options: dict[str, Any]) -> None:
    """What is said of the order is remembered for the endpoint."""
    bench.tree(FILES)
    await bench.sync()
    assert await listed(bench, request_of(bench, **LISTING, **options)) is None
