"""Measures the object index: queries, loading, and the cost for a sync; prints a table.

::

    python -m benchmarks.index queries --rows 1000000 --database sqlite     # or postgres, or a URL
    python -m benchmarks.index sync --endpoint-url http://127.0.0.1:9400    # a bucket named "index-bench"
    python -m benchmarks.index images --endpoint-url http://127.0.0.1:9400  # first page, against two LISTs
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aios3sync
from aios3sync.index import ObjectRow, Selection
from aios3sync.index.db.open import open_backend
from aios3sync.index.db.protocol import IndexBackend
from aios3sync.testing import start_postgres

_BUCKET: Final = "index-bench"
_BATCH: Final = 5000
_IMAGES: Final = 1725


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index", description=__doc__)
    parser.add_argument("what", choices=["queries", "sync", "images"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--database", default="sqlite", help="sqlite, postgres, or a URL")
    parser.add_argument("--endpoint-url", default="")
    options = parser.parse_args(arguments)
    work = {"queries": _queries, "sync": _sync, "images": _images}[options.what]
    asyncio.run(_with_database(options, work))
    return 0


async def _with_database(options: Any, work: Callable[[Any, str], Awaitable[None]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        if options.database == "postgres":
            with start_postgres(settings=["shared_buffers=256MB"]) as url:
                await work(options, url)
        elif options.database == "sqlite":
            await work(options, f"sqlite:///{place}/index.db")
        else:
            await work(options, options.database)


# Queries


async def _queries(options: Any, url: str) -> None:
    backend = await open_backend(url)
    began, worked = time.perf_counter(), time.process_time()
    await _fill(backend, options.rows)
    spent = f"{time.perf_counter() - began:.1f} s ({time.process_time() - worked:.1f} s of our CPU)"
    _show("load", f"{spent} for {options.rows:,} rows")
    rng = random.Random(1)  # noqa: S311 - for the folders of the queries
    for name, ask in _queries_by_name(backend, rng).items():
        await _measure(name, ask, options.rounds)
    await backend.close()
    _show("memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")


async def _fill(backend: IndexBackend, rows: int) -> None:
    """Load folders from a few rows to a fifth of all, in two levels; in key order, like a listing."""
    await backend.begin_loading()
    rng = random.Random(0)  # noqa: S311 - for sizes and times
    keys = sorted(map(_key, range(rows)))
    for start in range(0, rows, _BATCH):
        batch = [
            ObjectRow(key, rng.randrange(10**6), f"{rng.getrandbits(128):032x}", last_modified=_moment(rng))
            for key in keys[start : start + _BATCH]
        ]
        await backend.load(_BUCKET, batch, 1.0)
    await backend.end_loading()


def _key(number: int) -> str:
    spread = (number * 2654435761) % 2**32
    folder = "big/" if spread % 5 == 0 else f"set{spread % 40:02}/class{int(spread**0.33) % 1000:04}/"
    return f"{folder}img{number:08}.jpg"


def _moment(rng: random.Random) -> float:
    return 1.7e9 + rng.random() * 1e7


def _queries_by_name(backend: IndexBackend, rng: random.Random) -> dict[str, Callable[[], Awaitable[Any]]]:
    every = Selection(_BUCKET)

    def random_set() -> str:
        return f"set{rng.randrange(40):02}/"

    def random_key() -> str:
        return f"{random_set()}class{rng.randrange(1000):04}/img{rng.randrange(10**6):08}"

    return {
        "page by key, anywhere": lambda: backend.page(every, "key", 50, after=(random_key(), 0)),
        "page by key, prefix": lambda: backend.page(Selection(_BUCKET, random_set()), "key", 50),
        "page by size, all, descending": lambda: backend.page(
            every, "size", 50, desc=True, after=(rng.randrange(10**6), 0)
        ),
        "page by time, big folder": lambda: backend.page(
            Selection(_BUCKET, folder="big/"), "uploaded_at", 50, desc=True
        ),
        "page by time, prefix": lambda: backend.page(
            Selection(_BUCKET, random_set()), "uploaded_at", 50, desc=True
        ),
        "totals, folder": lambda: backend.totals(Selection(_BUCKET, random_set())),
        "totals, other prefix": lambda: backend.totals(Selection(_BUCKET, "set0")),
        "folders": lambda: backend.folders(_BUCKET, random_set()),
        "sample 100, all": lambda: backend.sample(every, 100),
        "sample 100, set": lambda: backend.sample(Selection(_BUCKET, random_set()), 100),
        "sample 100, big folder": lambda: backend.sample(Selection(_BUCKET, folder="big/"), 100),
    }


async def _measure(name: str, ask: Callable[[], Awaitable[Any]], rounds: int) -> None:
    await ask()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await ask()
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    _show(name, f"median {statistics.median(times):7.2f} ms   p95 {times[int(len(times) * 0.95)]:7.2f} ms")


# A sync with and without the index


async def _sync(options: Any, url: str) -> None:
    """Upload 10,000 files of 4 KiB again and again, in turns without and with the index.

    Neighbouring runs are compared in pairs: other load of the machine affects both alike.
    """
    count = min(options.rows, 10_000)
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        for number in range(count):
            path = root / f"d{number // 500:03}" / f"{number:06}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(os.urandom(4096))
        times: dict[bool, list[float]] = {False: [], True: []}
        worked: dict[bool, list[float]] = {False: [], True: []}
        async with _opened(options, url) as (session, index):
            for turn in range(2 * max(options.rounds // 20, 1) + 2):
                fed = bool(turn % 2)
                began, busy = time.perf_counter(), sum(os.times()[:4])
                target = f"s3://{_BUCKET}/run{turn}"
                report = await session.sync(root, target, manifest=False, index=index if fed else None)
                if turn > 1:
                    times[fed].append(time.perf_counter() - began)
                    worked[fed].append(
                        sum(os.times()[:4]) - busy
                    )  # with the upload processes, which have ended
                if report.uploaded != count or report.warnings:
                    sys.exit(f"only {report.uploaded} were uploaded: {report.warnings}")
            rows = (await index.totals(bucket=_BUCKET)).objects
    without, fed_time = statistics.median(times[False]), statistics.median(times[True])
    _show("without", f"{without:.3f} s, {count / without:,.0f} files/s (least {min(times[False]):.3f} s)")
    _show("with index", f"{fed_time:.3f} s, {count / fed_time:,.0f} files/s (least {min(times[True]):.3f} s)")
    _show("slower by", f"{(fed_time / without - 1) * 100:.1f} %; {rows:,} rows")
    cpu = statistics.median(worked[False]) / count * 1e6
    more = [(b - a) / count * 1e6 for a, b in zip(worked[False], worked[True], strict=True)]
    _show("CPU of a file", f"{cpu:.0f} us, with index {statistics.median(more):+.1f} us")
    _show("more CPU by", f"{statistics.median(more) / cpu * 100:.1f} % (medians of {len(more)} pairs)")


@asynccontextmanager
async def _opened(options: Any, url: str) -> AsyncIterator[tuple[Any, Any]]:
    async with AsyncExitStack() as stack:
        endpoint = options.endpoint_url or None
        session = await stack.enter_async_context(aios3sync.connect(endpoint_url=endpoint))
        yield session, await stack.enter_async_context(session.index(url))


# The first page of a gallery


async def _images(options: Any, url: str) -> None:
    """Compare the first page of 1,725 images from the index with two sequential LISTs."""
    async with _opened(options, url) as (session, index):
        with tempfile.TemporaryDirectory() as text:
            for number in range(_IMAGES):
                (Path(text) / f"{number:05}.jpg").write_bytes(b"x" * 100)
            await session.sync(text, f"s3://{_BUCKET}/images", manifest=False)
        await index.backfill(f"s3://{_BUCKET}/images")
        store = await session.store(_BUCKET)

        async def from_index() -> None:
            page = await index.page("images/", order="uploaded_at", desc=True, limit=50)
            urls = await index.urls(page)
            if len(urls) != 50 or page.total.objects != _IMAGES:
                sys.exit("the index does not hold the images")

        async def from_listing() -> None:
            entries, token = [], None
            while True:
                listed = await store.list_page("images/", token=token)
                entries += listed.entries
                if (token := listed.next_token) is None:
                    break
            entries.sort(key=lambda entry: entry.last_modified, reverse=True)
            await store.presign_many([entry.key for entry in entries[:50]])

        await _measure("first page from the index", from_index, options.rounds)
        await _measure("first page from 2 LISTs", from_listing, options.rounds)


def _show(name: str, text: str) -> None:
    print(f"{name:<32}{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
