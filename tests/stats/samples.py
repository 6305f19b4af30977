"""Made-up statistics: a bucket of a research team, and one whose names attack their viewer."""

from __future__ import annotations

from dataclasses import replace

from aios3sync.stats.model import (
    Bin,
    Breakdown,
    BucketStats,
    CacheFacts,
    DeltaGliderStats,
    FolderTotals,
    GroupTotals,
    HeadCounts,
    Histogram,
    ListedObject,
    Number,
    ObjectKind,
    UploadTotals,
    VersionTotals,
    exact,
    unknown,
)

NOW = 1_795_000_000.0
GB = 10**9

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"' onmouseover='document.title=1' x=\"",
    "<!--<script>",
    "\u202egnp.exe\u2066 \x1b[31mred\x07 \x00 \u2028 line\r\nbreak",
    "שלום/עולם.txt",
    "very-long-" + "x" * 1000,
    "[bold red]markup[/] &amp; 100% {{7*7}} ${7*7}",
    "lone \udcff surrogate",
)


def folder(prefix: str, name: str, stored: int, *children: FolderTotals, rest: int = 0) -> FolderTotals:
    below = sum(child.stored_bytes for child in children)
    stored = max(stored, below + rest)
    rest = stored - below if children else rest
    count = stored // (20 * 10**6) + 1
    return FolderTotals(name, prefix, count, stored, children, 3 if rest else 0, rest)


def _tree() -> FolderTotals:
    def train(split: str, size: int) -> FolderTotals:
        shards = tuple(
            folder(f"train/{split}/shard-{n:02}/", f"shard-{n:02}", size // (n + 2)) for n in range(7)
        )
        return folder(f"train/{split}/", split, 0, *shards, rest=size // 9)

    return folder(
        "",
        "",
        0,
        folder("train/", "train", 0, train("images", 700 * GB), train("captions", 90 * GB), rest=4 * GB),
        folder(
            "checkpoints/",
            "checkpoints",
            0,
            *(folder(f"checkpoints/run-{n}/", f"run-{n}", (90 - 14 * n) * GB) for n in range(6)),
        ),
        folder("validation/", "validation", 120 * GB),
        folder("logs/", "logs", 30 * GB, folder("logs/2026/", "2026", 22 * GB)),
        folder("docs/", "docs", GB),
        rest=9 * GB,
    )


def _bins(limits: list[float], weights: list[int], unit: str, total: int) -> Histogram:
    highs: list[float | None] = [*limits[1:], None]
    whole = sum(n * n for n in weights)
    return Histogram(
        unit,
        tuple(
            Bin(low, high, n * 1000, total * n * n // whole)
            for low, high, n in zip(limits, highs, weights, strict=True)
        ),
    )


def sample() -> BucketStats:
    """A bucket of a terabyte, sampled."""
    root = _tree()
    stored = root.stored_bytes
    original = Number(
        stored * 1.31, "sampled", stored * 1.24, stored * 1.38, 0.125, "one object of each folder was asked"
    )
    saved = replace(original, value=stored * 0.31, low=stored * 0.24, high=stored * 0.38)
    day = 86_400
    sizes = [0.0, 1, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10]
    ages = [0.0, 3600, *(float(n * day) for n in (1, 7, 30, 90, 180, 365, 730))]
    return BucketStats(
        bucket="research-datasets",
        prefix="vision/",
        mode="sampled",
        computed_at=NOW,
        origin="cache",
        objects=exact(root.objects),
        stored_bytes=exact(stored),
        original_bytes=original,
        saved_bytes=saved,
        ratio=replace(original, value=0.237, low=0.19, high=0.28),
        kinds=(
            ObjectKind("direct", exact(40_000), exact(stored * 0.6), exact(stored * 0.6)),
            ObjectKind("delta", exact(21_000), exact(stored * 0.35), original),
            ObjectKind("reference", exact(42), exact(stored * 0.05), exact(0)),
        ),
        storage_classes=Breakdown(
            (
                GroupTotals("STANDARD", 50_000, stored * 6 // 10),
                GroupTotals("STANDARD_IA", 9_000, stored * 3 // 10),
                GroupTotals("GLACIER_IR", 2_000, stored // 10),
            )
        ),
        extensions=Breakdown(
            tuple(
                GroupTotals(name, 40_000 // (n + 1), stored // (2 ** (n + 1)))
                for n, name in enumerate(("safetensors", "tar", "jpg", "parquet", "webp", "txt", ""))
            ),
            other=GroupTotals("", 812, stored // 300),
            exact=False,
        ),
        top_folders=Breakdown(
            tuple(GroupTotals(f"{c.name}/", c.objects, c.stored_bytes) for c in root.children)
        ),
        folders=root,
        sizes=_bins(sizes, [1, 4, 9, 14, 18, 24, 30, 12, 5, 1], "bytes", stored),
        ages=_bins(ages, [1, 3, 8, 19, 30, 22, 12, 7, 2], "seconds", stored),
        largest=tuple(
            ListedObject(
                f"checkpoints/run-0/model-{n:05}-of-00012.safetensors",
                (12 - n) * GB,
                NOW - n * day * 9,
                "STANDARD",
            )
            for n in range(8)
        ),
        newest=tuple(
            ListedObject(f"logs/2026/11/events-{n}.jsonl", 4096 * (n + 1), NOW - 600 * n, "STANDARD")
            for n in range(8)
        ),
        uploads=UploadTotals(exact(3), exact(2.4 * GB), NOW - 20 * day),
        versions=VersionTotals(
            unknown("access denied to list versions"),
            unknown("access denied to list versions"),
            unknown("access denied to list versions"),
        ),
        heads=HeadCounts(2600, 2590, 7, 3),
        cache=CacheFacts("hit", "fingerprint", ".aios3sync/stats.json", 7300.0, 91_000, False, 12, 3),
        deltaglider=DeltaGliderStats("research-datasets", 61_000, 1, 1, 0, 0.0, 21_000, 40_000),
        requests={"ListObjectsV2": 62, "GetObject": 1},
        elapsed_s=1.4,
    )


def hostile() -> BucketStats:
    """Every name is an attack, and something is missing."""
    names = [
        folder(f"{name}/", name, (9 - n) * GB, folder(f"{name}/{name}/", name, GB))
        for n, name in enumerate(HOSTILE)
    ]
    groups = tuple(GroupTotals(name, 3, GB) for name in HOSTILE)
    return replace(
        sample(),
        prefix=f"{HOSTILE[1]}/",
        complete=False,
        folders=folder("", "", 0, *names, rest=GB),
        extensions=Breakdown(groups),
        storage_classes=Breakdown(groups),
        top_folders=Breakdown(groups),
        largest=tuple(ListedObject(name, GB, NOW, HOSTILE[0]) for name in HOSTILE),
        newest=tuple(ListedObject(name, 1, NOW, HOSTILE[1]) for name in HOSTILE),
        original_bytes=unknown(HOSTILE[0]),
        warnings=("3 of 2,600 objects could not be asked", HOSTILE[1]),
    )
