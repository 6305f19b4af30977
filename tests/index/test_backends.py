"""The contract of the databases of the index: the same results from SQLite and from PostgreSQL."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from aios3sync.index.db.open import open_backend
from aios3sync.index.db.protocol import IndexBackend, Position
from aios3sync.index.rows import (
    Applied,
    Change,
    Folder,
    ObjectIndexError,
    ObjectRow,
    Order,
    Removal,
    Selection,
    Totals,
    Upsert,
    folder_of,
)

ALL = Selection("b")


def put(key: str, size: int = 1, at: float = 10.0, sequencer: str = "", **facts: Any) -> Upsert:
    return Upsert(ObjectRow(key, size, **{"etag": f"e{size}", **facts}), at, sequencer)


def gone(key: str, at: float = 10.0, sequencer: str = "") -> Removal:
    return Removal(key, at, sequencer)


async def keys_of(backend: IndexBackend, prefix: str = "") -> list[str]:
    return [row.key for row in await backend.scan("b", prefix, "", 10_000)]


async def everything(
    backend: IndexBackend, selection: Selection, order: Order, *, desc: bool, limit: int
) -> list[ObjectRow]:
    rows: list[ObjectRow] = []
    position: Position | None = None
    while True:
        some, position = await backend.page(selection, order, limit, desc=desc, after=position)
        rows += some
        if position is None:
            return rows
        assert len(some) == limit


# Writing


async def test_what_is_written_is_read(backend: IndexBackend) -> None:
    row = ObjectRow(
        *("a/ü.JPG", 5, "etag", "image/jpeg", "STANDARD_IA", 640, 480),
        *({"a": "1", "ü": '"'}, "thumbs/a.webp", 1_700_000_000.5, 1_700_000_001.0),
    )
    assert await backend.apply("b", [Upsert(row, 1.0)]) == Applied(inserted=1)
    (found,) = await backend.get("b", ["a/ü.JPG", "nothing"])
    assert found == row._replace(bucket="b")
    assert (found.folder, found.name) == ("a/", "ü.JPG")
    assert await backend.buckets() == ["b"]
    assert await backend.get("other", ["a/ü.JPG"]) == []


async def test_extensions_and_collections_do_not_collide(backend: IndexBackend) -> None:
    await backend.apply("b", [put("x/a.jpg"), put("x/a.png"), put("y/a.jpg"), put("x/a")])
    assert await keys_of(backend) == ["x/a", "x/a.jpg", "x/a.png", "y/a.jpg"]


async def test_unknown_facts_of_the_same_object_stay(backend: IndexBackend) -> None:
    known = put("k", 7, content_type="text/plain", width=1, height=2, metadata={"m": "1"}, uploaded_at=5.0)
    await backend.apply("b", [known])
    assert await backend.load("b", [ObjectRow("k", 7, "e7", last_modified=5.4)], 20.0) == Applied(updated=1)
    (row,) = await backend.get("b", ["k"])
    assert (row.content_type, row.width, row.metadata, row.uploaded_at) == ("text/plain", 1, {"m": "1"}, 5.0)
    assert row.last_modified == 5.4
    assert await backend.load("b", [ObjectRow("k", 7, "e7", last_modified=5.4)], 21.0) == Applied(unchanged=1)


async def test_facts_of_another_object_go(backend: IndexBackend) -> None:
    await backend.apply("b", [put("k", 7, content_type="text/plain", width=1, uploaded_at=5.0)])
    await backend.load("b", [ObjectRow("k", 7, "other", last_modified=99.0)], 20.0)
    (row,) = await backend.get("b", ["k"])
    assert (row.content_type, row.width, row.uploaded_at) == ("", None, 99.0)


ORDERS: dict[str, tuple[list[Change], list[str]]] = {
    "a late upsert after a removal": (
        [put("k", 1, 1.0, "01"), gone("k", 3.0, "03"), put("k", 2, 2.0, "02")],
        [],
    ),
    "a late removal after an upsert": ([put("k", 2, 3.0, "03"), gone("k", 2.0, "02")], ["k"]),
    "a removal of what never came": ([gone("k", 3.0, "03"), put("k", 1, 1.0, "01")], []),
    "a new life": ([gone("k", 3.0, "03"), put("k", 1, 4.0, "04")], ["k"]),
    "the same event twice": ([put("k", 1, 1.0, "01"), put("k", 1, 1.0, "01")], ["k"]),
    "the sequencer counts, not the clock": ([put("k", 1, 9.0, "01"), gone("k", 1.0, "02")], []),
    "the clock where one has no sequencer": ([put("k", 1, 9.0), gone("k", 1.0, "02")], ["k"]),
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("name", ORDERS)
async def test_events_may_come_in_any_order(backend: IndexBackend, name: str, together: bool) -> None:
    changes, expected = ORDERS[name]
    for batch in [changes] if together else [[change] for change in changes]:
        await backend.apply("b", batch)
    assert await keys_of(backend) == expected
    assert (await backend.totals(ALL)).objects == len(expected)


async def test_removals_are_remembered_until_they_are_forgotten(backend: IndexBackend) -> None:
    await backend.apply("b", [gone("k", 5.0, "05")])
    assert await backend.apply("b", [put("k", 1, 1.0, "01")]) == Applied(ignored=1)
    assert await backend.forget_removals(5.0) == 0
    assert await backend.forget_removals(6.0) == 1
    assert await backend.apply("b", [put("k", 1, 1.0, "01")]) == Applied(inserted=1)


async def test_a_batch_is_all_or_nothing(backend: IndexBackend) -> None:
    await backend.apply("b", [put("a")], {"x": "1"})
    with pytest.raises(ObjectIndexError):
        await backend.apply("b", [put("b"), put("\ud800")], {"x": "2"})
    assert await keys_of(backend) == ["a"]
    assert await backend.state() == {"x": "1"}


async def test_state_comes_and_goes(backend: IndexBackend) -> None:
    await backend.save_state({"a:1": "x", "a:2": "y", "b": "z"})
    await backend.apply("b", [], {"a:1": None, "a:2": "w"})
    assert await backend.state("a:") == {"a:2": "w"}
    assert await backend.state() == {"a:2": "w", "b": "z"}


async def test_indexes_of_one_database_are_independent(database: str, backend: IndexBackend) -> None:
    other = await open_backend(database, "other")
    await backend.apply("b", [put("k")], {"s": "1"})
    assert await other.buckets() == []
    assert await other.state() == {}
    await other.apply("b", [put("k2")])
    assert await keys_of(backend) == ["k"]
    await other.close()


async def test_what_was_written_is_there_after_reopening(database: str, backend: IndexBackend) -> None:
    await backend.apply("b", [put("d/k", 3)])
    await backend.close()
    again = await open_backend(database)
    assert await again.totals(Selection("b", "d/")) == Totals(1, 3)
    await again.close()
    await again.close()
    with pytest.raises(ObjectIndexError):
        await again.totals(ALL)


async def test_a_sweep_deletes_rows_that_were_not_observed(backend: IndexBackend) -> None:
    await backend.load("b", [ObjectRow(f"p/{n}", n) for n in range(50)] + [ObjectRow("q", 1)], 10.0)
    await backend.load("b", [ObjectRow(f"p/{n}", n) for n in range(0, 50, 2)], 20.0)
    dropped, goes = 0, 0
    after: str | None = ""
    while after is not None:
        some, after = await backend.sweep("b", "p/", 20.0, after, 20)
        dropped, goes = dropped + some, goes + 1
    assert (dropped, goes) == (25, 3)
    assert sorted(await keys_of(backend)) == sorted(["q", *(f"p/{n}" for n in range(0, 50, 2))])
    assert (await backend.totals(Selection("b", "p/"))).objects == 25


async def test_end_loading_builds_the_deferred_b_trees(database: str, backend: IndexBackend) -> None:
    await backend.begin_loading()
    await backend.load("b", [ObjectRow(f"p/{n:03}", n) for n in range(100)], 10.0)
    # The process dies here; the next process that opens the index builds the missing B-trees.
    again = await open_backend(database)
    assert [row.size for row in (await again.page(ALL, "size", 3, desc=True))[0]] == [99, 98, 97]
    await again.close()
    await backend.end_loading()


# Against a model


async def check(backend: IndexBackend, model: dict[str, ObjectRow]) -> None:
    """Assert that all sums and slots of the index are those of its rows."""
    assert {row.key: row.size for row in await backend.scan("b", "", "", 10_000)} == {
        key: row.size for key, row in model.items()
    }
    below: dict[str, list[int]] = {"": [0, 0, 0, 0]}
    for key, row in model.items():
        folder = folder_of(key)
        own = below.setdefault(folder, [0, 0, 0, 0])
        own[2] += 1
        own[3] += row.size
        for cut in [0, *(place + 1 for place, letter in enumerate(key) if letter == "/")]:
            sums = below.setdefault(key[:cut], [0, 0, 0, 0])
            sums[0] += 1
            sums[1] += row.size
    for path, sums in below.items():
        assert await backend.totals(Selection("b", path)) == Totals(sums[0], sums[1]), path
        assert await backend.totals(Selection("b", folder=path)) == Totals(sums[2], sums[3]), path
        inside = {other for other in below if other != path and other[: other.rfind("/", 0, -1) + 1] == path}
        assert await backend.folders("b", path) == [Folder(other, *below[other]) for other in sorted(inside)]
        drawn = await backend.sample(Selection("b", folder=path), sums[2] + 5, 1)
        assert len(drawn) == len({row.key for row in drawn}) == sums[2], "the slots have no gap"
        assert len(await backend.sample(Selection("b", path), 10_000, 1)) == sums[0]


@pytest.mark.parametrize("seed", range(4))
async def test_numbers_and_slots_follow_any_changes(backend: IndexBackend, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    names = ["", "a", "b/", "c/d", "c/d/e", "//", "x.jpg", "\U0010ffff", "z" * 20]
    folders = ["", "a/", "a/b/", "a/b/c/", "a//", "/", "ä/"]
    places = sorted({rng.choice(folders) + rng.choice(names) + str(n % 3) for n in range(80)})
    model: dict[str, ObjectRow] = {}
    for moment in range(1, 13):
        changes: list[Change] = []
        for _ in range(rng.randrange(1, 40)):
            key = rng.choice(places)
            if rng.random() < 0.45:
                changes.append(gone(key, float(moment)))
                model.pop(key, None)
            else:
                change = put(key, rng.randrange(1000), float(moment))
                changes.append(change)
                model[key] = change.row
        await backend.apply("b", changes)
        if moment % 4 == 0:
            await check(backend, model)
    await backend.apply("b", [gone(key, 99.0) for key in model])
    await check(backend, {})
    assert await backend.folders("b", "") == []


# Pages


KEYS: dict[Order, Callable[[ObjectRow], Any]] = {
    "key": lambda row: row.key,
    "name": lambda row: row.name,
    "size": lambda row: row.size,
    "uploaded_at": lambda row: row.uploaded_at,
}


@pytest.fixture
async def folder_rows(backend: IndexBackend) -> list[ObjectRow]:
    rng = random.Random(3)  # noqa: S311
    rows = [
        ObjectRow(
            f"{rng.choice(['', 'a/', 'a/b/', 'a/b/c/', 'ab/'])}{n:03}.{rng.choice('xy')}",
            rng.randrange(20),
            uploaded_at=float(rng.randrange(1, 30)),
            bucket="b",
        )
        for n in range(300)
    ]
    await backend.load("b", rows, 50.0)
    return rows


@pytest.mark.parametrize("desc", [False, True])
@pytest.mark.parametrize("order", KEYS)
@pytest.mark.parametrize(
    "selection",
    [ALL, Selection("b", "a/"), Selection("b", "a"), Selection("b", "a/b/0"), Selection("b", folder="a/b/")],
    ids=str,
)
async def test_pages_hold_each_row_once_in_order(
    backend: IndexBackend, folder_rows: list[ObjectRow], selection: Selection, order: Order, desc: bool
) -> None:
    found = await everything(backend, selection, order, desc=desc, limit=7)
    wanted = [
        row
        for row in folder_rows
        if row.key.startswith(selection.prefix) and selection.folder in (None, row.folder)
    ]
    assert Counter(row.key for row in found) == Counter(row.key for row in wanted)
    values = [KEYS[order](row) for row in found]
    assert values == sorted(values, reverse=desc)
    assert (await backend.totals(selection)).objects == len(wanted)


@pytest.mark.parametrize("desc", [False, True])
@pytest.mark.parametrize("few", [0, 400], ids=["the tree of the bucket", "the trees of the folders"])
async def test_pages_of_a_large_prefix(
    backend: IndexBackend,
    folder_rows: list[ObjectRow],
    monkeypatch: pytest.MonkeyPatch,
    desc: bool,
    few: int,
) -> None:
    monkeypatch.setattr("aios3sync.index.db.queries._FEW", 10)
    monkeypatch.setattr("aios3sync.index.db.queries._FEW_FOLDERS", few)
    found = await everything(backend, Selection("b", "a/"), "size", desc=desc, limit=7)
    sizes = sorted((row.size for row in folder_rows if row.key.startswith("a/")), reverse=desc)
    assert [row.size for row in found] == sizes
    assert len({row.key for row in found}) == len(sizes)


async def test_rows_that_come_between_pages_do_no_harm(backend: IndexBackend) -> None:
    await backend.load("b", [ObjectRow(f"{n:02}", n) for n in range(0, 20, 2)], 10.0)
    first, position = await backend.page(ALL, "size", 5)
    await backend.load("b", [ObjectRow(f"{n:02}", n) for n in range(1, 20, 2)], 11.0)
    await backend.apply("b", [gone(first[-1].key, 12.0)])
    second, _ = await backend.page(ALL, "size", 50, after=position)
    assert [row.size for row in second] == list(range(9, 20))


# Totals, samples, searches


async def test_totals_of_other_prefixes_stop_counting(
    backend: IndexBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backend.load("b", [ObjectRow(f"d/o{n:03}", 2) for n in range(120)], 10.0)
    await backend.load("b", [ObjectRow(f"d/o1/{n}", 3) for n in range(10)], 10.0)
    assert await backend.totals(Selection("b", "d/o1")) == Totals(20 + 10, 40 + 30)
    monkeypatch.setattr("aios3sync.index.db.queries.EXACT_UP_TO", 50)
    lower = await backend.totals(Selection("b", "d/o"))
    assert not lower.exact
    assert 60 <= lower.objects <= 130
    assert await backend.totals(Selection("b", "d/")) == Totals(130, 270), "folders need no counting"


def chi_square(counts: Counter[str], population: int) -> float:
    expected = counts.total() / population
    return (
        sum((counts[key] - expected) ** 2 / expected for key in counts)
        + (population - len(counts)) * expected
    )


SAMPLED = {
    "all": ALL,
    "a folder with its subfolders": Selection("b", "big/"),
    "a folder alone": Selection("b", folder="big/"),
    "another prefix": Selection("b", "big/0"),
    "a prefix over folders": Selection("b", "s"),
}


@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("rejecting", [False, True])
async def test_samples_are_uniform_over_skewed_folders_and_gaps(
    backend: IndexBackend, monkeypatch: pytest.MonkeyPatch, name: str, rejecting: bool
) -> None:
    """Chi-square with at most 200 degrees of freedom; the bound is exceeded by chance once in a million."""
    keys = [f"big/{n:03}" for n in range(150)] + [f"big/sub{n % 3}/{n}" for n in range(40)]
    keys += [f"small{n}/one" for n in range(30)] + ["top"]
    await backend.load("b", [ObjectRow(key, 1) for key in keys], 1.0)
    holes = [key for n, key in enumerate(keys) if n % 3 == 0]
    await backend.apply("b", [gone(key, 2.0) for key in holes])
    await backend.load("b", [ObjectRow(f"big/late{n}", 1) for n in range(9)], 3.0)
    if rejecting:
        monkeypatch.setattr("aios3sync.index.db.sampling.EXACT_UP_TO", 20)
    selection = SAMPLED[name]
    population = [
        row.key
        for row in await backend.scan("b", selection.prefix, "", 1000)
        if selection.folder in (None, row.folder)
    ]
    counts: Counter[str] = Counter()
    for seed in range(150):
        drawn = [row.key for row in await backend.sample(selection, 10, seed)]
        assert len(set(drawn)) == 10
        counts.update(drawn)
    assert set(counts) <= set(population)
    freedom = len(population) - 1
    assert chi_square(counts, len(population)) < freedom + 4.9 * (2 * freedom) ** 0.5 + 16


async def test_a_seed_selects_the_same_rows(backend: IndexBackend) -> None:
    await backend.load("b", [ObjectRow(f"d{n % 7}/{n}", 1) for n in range(200)], 1.0)
    first = await backend.sample(ALL, 20, 5)
    assert first == await backend.sample(ALL, 20, 5)
    assert first != await backend.sample(ALL, 20, 6)
    assert await backend.sample(Selection("b", "nothing"), 20, 5) == []


HOSTILE = [
    "a'b",
    'a"b',
    "a%b",
    "a_b",
    "aXb",
    "a\\b",
    "a;--",
    "$1",
    "ä b",
    "A\u0301",
    "\U0001f600",
    "?1",
    "a\nb",
]


async def test_hostile_keys_are_keys(backend: IndexBackend) -> None:
    await backend.apply("b", [put(f"x/{key}") for key in HOSTILE])
    assert await keys_of(backend) == sorted(f"x/{key}" for key in HOSTILE)
    for key in HOSTILE:
        assert [row.name for row in await backend.get("b", [f"x/{key}"])] == [key]
        assert (await backend.totals(Selection("b", f"x/{key}"))).objects == 1
        found = {row.name for row in await backend.search(ALL, key, "", 100)}
        assert found == {other for other in HOSTILE if key.lower() in other.lower()}, key
    await backend.apply("b", [gone(f"x/{key}", 20.0) for key in HOSTILE])
    assert await keys_of(backend) == []


async def test_a_search_knows_no_wildcards_and_no_case(backend: IndexBackend) -> None:
    await backend.apply("b", [put("d/Cat_1.JPG"), put("d/cat21.jpg"), put("cat_/dog"), put("100%.txt")])
    assert [row.key for row in await backend.search(ALL, "cat_", "", 10)] == ["d/Cat_1.JPG"]
    assert [row.key for row in await backend.search(ALL, "%", "", 10)] == ["100%.txt"]
    assert [row.key for row in await backend.search(ALL, "CAT", "", 1)] == ["d/Cat_1.JPG"]
    assert [row.key for row in await backend.search(ALL, "CAT", "d/Cat_1.JPG", 9)] == ["d/cat21.jpg"]
    assert await backend.search(Selection("b", folder=""), "cat", "", 10) == []


async def test_histograms(backend: IndexBackend) -> None:
    rows = [
        ObjectRow("a.JPG", 0, uploaded_at=1_700_000_000),
        ObjectRow("b.jpg", 1, uploaded_at=1_700_000_000),
        ObjectRow("c/.hidden", 1024, uploaded_at=1_709_251_199),
        ObjectRow("c/d.tar.gz", 1500, uploaded_at=1_709_251_200),
    ]
    await backend.load("b", rows, 1.0)
    assert await backend.histogram(ALL, "extension") == [("jpg", 2, 1), ("", 1, 1024), ("gz", 1, 1500)]
    assert await backend.histogram(ALL, "size") == [("0", 1, 0), ("1", 1, 1), ("1024", 2, 2524)]
    assert await backend.histogram(ALL, "month") == [
        ("2023-11", 2, 1),
        ("2024-02", 1, 1024),
        ("2024-03", 1, 1500),
    ]
    assert await backend.histogram(Selection("b", folder="c/"), "extension") == [
        ("", 1, 1024),
        ("gz", 1, 1500),
    ]


# Concurrency


async def test_readers_see_whole_batches(backend: IndexBackend) -> None:
    done = anyio.Event()
    await backend.load("b", [ObjectRow("d/0/0", 0)], 1.0)

    async def write() -> None:
        for n in range(1, 20):
            await backend.load("b", [ObjectRow(f"d/{n}/{m}", 1) for m in range(20)], float(n))
        done.set()

    async def read() -> None:
        while not done.is_set():
            total = await backend.totals(ALL)
            assert total.objects % 20 == 1
            assert len(await backend.sample(ALL, 3)) >= 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        for _ in range(3):
            tasks.start_soon(read)


@pytest.mark.parametrize("writers", [6])
async def test_parallel_writers_do_not_deadlock_and_lose_nothing(database: str, writers: int) -> None:
    """Each writer has connections of its own; all write to the same folders, in every order."""
    opened = [await open_backend(database) for _ in range(writers)]

    async def write(number: int, backend: IndexBackend) -> None:
        rng = random.Random(number)  # noqa: S311
        for batch in range(6):
            rows = [
                ObjectRow(f"{rng.choice('abc')}/{rng.choice('xyz')}/{number}-{batch}-{n}", 1)
                for n in range(30)
            ]
            shared = [ObjectRow(f"shared/{n}", 1) for n in rng.sample(range(40), 20)]
            bucket = "b" if rng.random() < 0.8 else "c"
            await backend.load("b", [*rows, *shared], float(batch))
            await backend.load(bucket, shared, float(batch))
            await backend.apply("b", [gone(row.key, batch + 0.5) for row in rows[::3]])

    async with anyio.create_task_group() as tasks:
        for number, backend in enumerate(opened):
            tasks.start_soon(write, number, backend)
    rows = await opened[0].scan("b", "", "", 100_000)
    await check(opened[1], {row.key: row for row in rows})
    assert sum(not row.key.startswith("shared/") for row in rows) == writers * 6 * 20
    for backend in opened:
        await backend.close()
