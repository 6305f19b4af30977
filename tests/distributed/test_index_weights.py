"""Cuts by the object index: balanced from few rows, and only where the index knows enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aios3sync._dataclass import replace
from aios3sync.core.keys import Location
from aios3sync.distributed import estimates
from aios3sync.distributed.estimates import weights_of
from aios3sync.distributed.index_weights import index_weights
from aios3sync.distributed.shards import Weight, cut
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.index.rows import ObjectIndexError, ObjectRow, Selection
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.testing.memory import MemoryStore
from tests.distributed.sharding import Sharding

pytestmark = pytest.mark.timeout(120)


async def fill(backend: IndexBackend, keys: Iterable[str], bucket: str = "bucket") -> None:
    rows = [ObjectRow(key, 1, "e") for key in keys]
    for start in range(0, len(rows), 5000):
        await backend.load(bucket, rows[start : start + 5000], 1.0)


def flat(random: Random) -> str:
    return f"{random.randrange(10**9):09}"


def skewed(random: Random) -> str:
    """A few folders hold most, and files lie between folders."""
    folder = int(random.paretovariate(0.7)) % 500
    return f"d{folder:03}" + "/x" * random.randrange(3) + f"{random.randrange(10**6)}"


def unicode(random: Random) -> str:
    return "".join(random.choice("a/é\uffff\U00010000") for _ in range(12))


@pytest.mark.parametrize("key", [flat, skewed, unicode], ids=lambda key: str(key.__name__))
@pytest.mark.parametrize("shards", [2, 12])
async def test_ranges_are_balanced_whatever_the_keys(
    backend: IndexBackend, key: Callable[[Random], str], shards: int
) -> None:
    random = Random(shards)  # noqa: S311 - not for cryptography
    keys = {key(random) for _ in range(12_000)}
    # What is beside the prefix is several times as much, and counts for nothing.
    await fill(backend, {f"p/{name}" for name in keys} | {f"o{number}" for number in range(20_000)})
    weights = await index_weights(backend, Location("bucket", "p/"), shards, 100)
    assert len(weights) <= 256 * shards
    assert sum(objects for _, objects in weights) == len(keys)
    assert all(one < other for (one, _), (other, _) in pairwise(weights))
    found = [sum(one.holds(name) for name in keys) for one in cut(weights, shards)]
    assert len(found) == shards
    assert sum(found) == len(keys)
    assert max(found) <= 2 * min(found)


async def test_a_small_part_of_a_bucket_is_not_drawn_from_the_whole(
    backend: IndexBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(backend, [f"p/{number:04}" for number in range(2000)] + [f"q{n}" for n in range(8000)])
    asked: list[int] = []
    sample = backend.sample

    async def watched(selection: Selection, count: int, seed: int | None = None) -> list[ObjectRow]:
        asked.append(count)
        return await sample(selection, count, seed)

    monkeypatch.setattr(backend, "sample", watched)
    monkeypatch.setattr("aios3sync.distributed.index_weights._MOST_READ", 3000)
    for shards in (1, 8, 100):
        await index_weights(backend, Location("bucket", "p/"), shards, 10)
    assert asked == [256, 600, 3200], "a fifth of the rows that may be read, but 32 for each range"


async def test_an_index_that_knows_too_few_objects_or_fails_tells_nothing(
    backend: IndexBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(backend, [f"p/{number:03}" for number in range(300)])
    assert await index_weights(backend, Location("bucket", "p/"), 4, 300) == []
    assert await index_weights(backend, Location("other", "p/"), 4, 0) == []
    weights = await index_weights(backend, Location("bucket", "p/"), 4, 299)
    assert weights == [(f"{number:03}", 1) for number in range(300)]

    async def broken(*_: object) -> list[ObjectRow]:
        raise ObjectIndexError("gone")

    monkeypatch.setattr(backend, "sample", broken)
    assert await index_weights(backend, Location("bucket", "p/"), 4, 0) == []


async def test_an_object_with_the_name_of_the_prefix_is_no_key_of_it(backend: IndexBackend) -> None:
    await fill(backend, ["p/", "p/a", "p/b"])
    assert [key for key, _ in await index_weights(backend, Location("bucket", "p/"), 1, 0)] == ["a", "b"]


# Which estimate is taken.


async def test_the_index_comes_before_a_look_at_the_tree(backend: IndexBackend, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/file").touch()
    bench = Sharding(tmp_path / "m", tmp_path / "t", MemoryStore("bucket"))
    request, resources = bench.request(), bench.resources()
    assert await weights_of(request, resources, None, 4, backend) == [("file", 1)], "it knows nothing yet"
    await fill(backend, [f"p/{number:03}" for number in range(400)])
    weights = await weights_of(request, resources, None, 4, backend)
    assert [key for key, _ in weights] == [f"{number:03}" for number in range(400)]
    assert await weights_of(request, resources, None, 1, backend) == []
    assert await weights_of(request, resources, None, 4) == [("file", 1)]


async def test_the_source_of_a_copy_comes_first_unless_it_is_elsewhere(
    backend: IndexBackend, tmp_path: Path
) -> None:
    await fill(backend, [f"p/t{number:03}" for number in range(400)])
    await fill(backend, [f"p/s{number:03}" for number in range(400)], "source")
    bench = Sharding(
        tmp_path / "m", tmp_path / "t", MemoryStore("bucket"), MemoryStore("source"), direction="copy"
    )
    request, resources = bench.request(), bench.resources()
    weights = await weights_of(request, resources, None, 4, backend)
    assert {key[0] for key, _ in weights} == {"s"}
    resources = replace(resources, source_profile=EndpointProfile(etags="md5"))
    weights = await weights_of(request, resources, None, 4, backend)
    assert {key[0] for key, _ in weights} == {"t"}


class Recorded:
    """A manifest with many rows."""

    def has_more_rows(self, number: int) -> bool:
        return number < 10**9

    def key_after_now(self, after: str, step: int) -> str | None:
        return None if after else f"r{step}"


async def test_what_is_recorded_and_an_inventory_come_before_the_index(
    backend: IndexBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(backend, [f"p/{number:03}" for number in range(400)])
    bench = Sharding(tmp_path / "m", tmp_path / "t", MemoryStore("bucket"))
    request, resources = bench.request(), bench.resources()
    known: Any = Recorded()
    assert await weights_of(request, resources, known, 4, backend) == [("", 64)]

    async def inventory(*_: object) -> list[Weight]:
        return [("i", 1)]

    monkeypatch.setattr(estimates, "inventory_weights", inventory)
    assert await weights_of(request, resources, None, 4, backend) == [("i", 1)]
