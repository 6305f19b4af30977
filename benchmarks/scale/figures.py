"""What a sync of a million to a billion objects takes, from measured costs and published limits. Pure.

Every number that a figure is made of is a constant here, with its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.scale.simulation import COMPARED_A_SECOND, LATENCY_S, NODE_A_SECOND, WRITES_A_SECOND

__all__ = ("constants", "figures")

SIZES: Final = (10**6, 10**8, 10**9)
NODES: Final = (1, 16, 128)

PARTITIONS: Final = {10**6: 1, 10**8: 16, 10**9: 64}
"""Partitions of the bucket, an assumption: S3 makes them as a bucket grows, and does not show them."""
WORKERS_A_NODE: Final = 1_000
MOST_WORKERS: Final = 10_000
"""Requests in flight: ``--workers``, whose ceiling this is, is divided among the nodes."""

WALKED_US: Final = 4.5
"""A file that did not change: benchmarks/RESULTS.md, 'No change in 1,000,000 empty files'."""
INVENTORY_US: Final = 4.6
"""A row of an inventory in Parquet in any order, read, sorted on disk and merged: 1,000,000 rows, CPU."""
FILTERED_US: Final = 1.7
"""A row of which a node has no use, where row groups are not cut by key: decoded and left out."""
LISTED_AT_ONCE: Final = 32
"""Pages of a listing that a run asks for at once."""

MANIFEST_BYTES: Final = 178
"""A row of the manifest with a key of 37 characters: 200,000 rows in an SQLite file."""
SORTED_BYTES: Final = 113
"""An entry of an inventory in a temporary file, with such a key."""
INVENTORY_BYTES: Final = 51
"""A row of an inventory in Parquet, with such a key."""
MEMORY_MIB: Final = {"walk": 37, "fresh": 47, "list": 108, "inventory": 151}
"""Peak memory of a run, whatever it has of keys: benchmarks/RESULTS.md; of the inventory as above."""

WRITE_PRICE: Final = 0.005 / 1000
READ_PRICE: Final = 0.0004 / 1000
INVENTORY_PRICE: Final = 0.0025 / 10**6
"""https://aws.amazon.com/s3/pricing/, S3 Standard in us-east-1: PUT, COPY, POST, LIST; GET and all others;
a row of an inventory. DELETE is free, and so is traffic into S3 and within a region."""

_DELETED: Final = 0.01
"""Share of the objects that a run with deletes deletes in the tables."""
_RANGE: Final = 8 * 2**20


_RESULTS: Final = "[results](../benchmarks/RESULTS.md)"
_S3: Final = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"


def figures() -> str:
    """Return the tables of the page, in Markdown."""
    return "\n".join([*_fresh(), *_unchanged(), *_requests(), *_space()])


def constants() -> str:
    """Return the table of what the figures are made of, in Markdown."""
    fresh, compared = 1e6 / NODE_A_SECOND, 1e6 / COMPARED_A_SECOND
    writes, reads, rows = WRITE_PRICE * 1000, READ_PRICE * 1000, INVENTORY_PRICE * 10**6
    prices = (
        f"US$ {writes:g} for 1,000 PUT, COPY, POST, LIST; {reads:g} for 1,000 GET, HEAD; "
        f"{rows:g} for 1,000,000 rows of an inventory"
    )
    sizes = f"{MANIFEST_BYTES}, {SORTED_BYTES} and {INVENTORY_BYTES} bytes with keys of 37 characters"
    facts = [
        (
            "a file of a first sync",
            f"{fresh:.0f} µs of processor, so {NODE_A_SECOND:,.0f} files a second on a core",
            f"{_RESULTS}, 30,000 x 4 KiB over HTTP",
        ),
        (
            "a file that did not change, by the manifest",
            f"{WALKED_US} µs",
            f"{_RESULTS}, 1,000,000 empty files",
        ),
        (
            "an object that is listed and compared",
            f"{compared:.0f} µs",
            f"{_RESULTS}, listing of 1,000,000 objects",
        ),
        (
            "a row of an inventory in Parquet, in any order",
            f"{INVENTORY_US} µs; {FILTERED_US} µs where it is only left out",
            "1,000,000 rows, processor time",
        ),
        (
            "writes a second",
            f"{WRITES_A_SECOND:,} for each partition",
            f"[S3]({_S3}), which makes partitions as a bucket grows",
        ),
        (
            "a request of a small object",
            f'{LATENCY_S * 1000:.0f} ms, the lower end of "100 to 200"',
            "the same page",
        ),
        (
            "prices",
            prices,
            "[S3](https://aws.amazon.com/s3/pricing/), Standard, us-east-1",
        ),
        (
            "a row of the manifest, an entry that is sorted on disk, a row of an inventory",
            sizes,
            "measured with 200,000 and 1,000,000 of them",
        ),
    ]
    heads = ["figure", "value", "source"]
    return "\n".join([*_table(heads, iter(facts), numbers=False)][:-1])


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]], *, numbers: bool = True) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    words = 2 if numbers else len(heads)
    yield f"|{'---|' * words}{'---:|' * (len(heads) - words)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def upload_bounds(keys: int, nodes: int) -> dict[str, float]:
    """Return how many small files a second each of the limits allows."""
    return {
        "processor": nodes * NODE_A_SECOND,
        "in flight": min(MOST_WORKERS, nodes * WORKERS_A_NODE) / LATENCY_S,
        "S3": WRITES_A_SECOND * min(PARTITIONS[keys], nodes),
    }


def _fresh() -> Iterator[str]:
    yield "### Time of a first sync of small files\n"

    def rows() -> Iterator[Sequence[str]]:
        for keys in SIZES:
            for nodes in NODES:
                bounds = upload_bounds(keys, nodes)
                least = min(bounds, key=lambda name: bounds[name])
                rate = bounds[least]
                each = [f"{bound:,.0f}" for bound in bounds.values()]
                yield [power(keys), str(nodes), *each, f"{rate:,.0f} ({least})", duration(keys / rate)]

    heads = ["objects", "nodes", "processor /s", "in flight /s", "S3 /s", "least /s", "time"]
    yield from _table(heads, rows())


def _unchanged() -> Iterator[str]:
    yield "### Time of a run that finds no change\n"

    def rows() -> Iterator[Sequence[str]]:
        for keys in SIZES:
            for nodes in NODES:
                walked = keys * WALKED_US / 1e6 / nodes
                pages = keys / 1000 * LATENCY_S / (LISTED_AT_ONCE * nodes)
                listed = max(keys / COMPARED_A_SECOND / nodes, pages)
                cut = keys * INVENTORY_US / 1e6 / nodes
                mixed = cut + keys * (1 - 1 / nodes) * FILTERED_US / 1e6
                yield [power(keys), str(nodes), *map(duration, (walked, walked + listed, cut, mixed))]

    heads = ["objects", "nodes", "manifest", "walk and listing", "inventory in key order", "in any order"]
    yield from _table(heads, rows())


def _requests() -> Iterator[str]:
    yield "### Requests and money\n"

    def rows() -> Iterator[Sequence[str]]:
        for keys in SIZES:
            deleted = round(keys * _DELETED)
            files = -(-keys * INVENTORY_BYTES // _RANGE)
            pages = keys // 1000
            yield [power(keys), "first sync", *_paid(keys, 0)]
            yield [power(keys), "no change, manifest", *_paid(0, 0)]
            yield [power(keys), "no change, listing", *_paid(pages, 0)]
            inventory = keys * INVENTORY_PRICE
            yield [power(keys), "no change, inventory", *_paid(1, files + 3, more=inventory)]
            yield [power(keys), "1 % deleted, listing", *_paid(pages, 0, deleted)]
            checked = _paid(1, files + 3 + deleted, deleted, more=inventory)
            yield [power(keys), "1 % deleted, inventory", *checked]

    yield from _table(["objects", "run", "PUT, LIST", "GET, HEAD", "DELETE", "US$"], rows())


def _paid(writes: int, reads: int, deleted: int = 0, *, more: float = 0.0) -> Sequence[str]:
    price = writes * WRITE_PRICE + reads * READ_PRICE + more
    return [f"{writes:,}", f"{reads:,}", f"{-(-deleted // 1000):,}", f"{price:,.2f}"]


def _space() -> Iterator[str]:
    yield "### Memory and disk of each node\n"

    def rows() -> Iterator[Sequence[str]]:
        for keys in SIZES:
            for nodes in NODES:
                manifest, scratch = (keys * each / nodes for each in (MANIFEST_BYTES, SORTED_BYTES))
                memory = [f"{mebibytes} MiB" for mebibytes in MEMORY_MIB.values()]
                yield [power(keys), str(nodes), *memory, size(manifest), size(scratch)]

    heads = ["objects", "nodes", "no change", "first sync", "listing", "inventory", "manifest", "sorting"]
    yield from _table(heads, rows())


def power(keys: int) -> str:
    """Return a power of ten."""
    return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(len(str(keys)) - 1))


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length or (unit == "h" and seconds >= length):
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 0.1 else "under 0.1 s"


def size(count: float) -> str:
    """Return some bytes in the unit that suits them."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
