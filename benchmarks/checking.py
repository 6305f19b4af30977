"""Checks the bucket after a run; only reads, and only after the clock has stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.trees import Content

__all__ = ("Finding", "compare", "count_listed", "list_contents")


class Finding(NamedTuple):
    """The wrong objects of a bucket: missing ones, surplus ones, and those that differ from their file."""

    lost: int = 0
    surplus: int = 0
    differing: int = 0

    @property
    def is_good(self) -> bool:
        """Nothing is wrong."""
        return not any(self)

    def __str__(self) -> str:
        words = zip(("lost", "surplus", "differing"), self, strict=True)
        return ", ".join(f"{count:,} {word}" for word, count in words if count)


def list_contents(client: Any, bucket: str, prefix: str) -> dict[str, Content]:
    """Return the objects below ``prefix``: sizes and ETags by relative key."""
    found: dict[str, Content] = {}
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    for page in pages:
        for item in page.get("Contents", ()):
            key = item["Key"].removeprefix(f"{prefix}/")
            found[key] = Content(item["Size"], item.get("ETag", "").strip('"'))
    return found


def compare(expected: Mapping[str, Content], found: Mapping[str, Content], *, etags: bool) -> Finding:
    """Compare the bucket with the tree: sizes always, MD5s where the ETag is one."""
    common = expected.keys() & found.keys()
    differing = sum(not _equal(expected[key], found[key], etags=etags) for key in common)
    return Finding(len(expected) - len(common), len(found) - len(common), differing)


def _equal(expected: Content, found: Content, *, etags: bool) -> bool:
    if expected.size != found.size:
        return False
    comparable = etags and expected.md5 and "-" not in found.md5
    return not comparable or expected.md5 == found.md5


def count_listed(output: Path, *, is_ours: bool) -> int:
    """Return how many objects a listing had: one a line, or our own count of pages of 1000."""
    if is_ours:
        requests = json.loads(output.read_text()).get("requests", {})
        return 1000 * int(requests.get("ListObjectsV2", 0))
    with output.open("rb") as lines:
        return sum(1 for _ in lines)
