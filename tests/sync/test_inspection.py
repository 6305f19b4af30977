"""The size of images is read from the bytes that are read anyway, in a thread."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from aios3sync.events import Uploaded
from tests.sync.conftest import MIB, Bench

pytestmark = pytest.mark.usefixtures("settle")


async def test_outcomes_have_the_size_of_small_and_large_images(bench: Bench) -> None:
    seen: dict[str, bytes] = {}
    sizes: dict[str, Any] = {}

    def inspect(key: str, head: bytes) -> tuple[int, int] | None:
        assert threading.current_thread() is not threading.main_thread()
        seen[key] = head
        return (len(key), 7) if key.endswith("jpg") else None

    class Sink:
        async def outcomes(self, batch: list[Any]) -> None:
            sizes.update({each.row.key: each.image for each in batch if isinstance(each, Uploaded)})

    large = bytes(range(256)) * 4 * 1024 * 12
    bench.inspect = inspect
    bench.outcome_sinks = (Sink(),)
    bench.tree({"a.jpg": b"small", "b.txt": b"text", "long.jpg": large})
    report = await bench.sync(part_size=5 * MIB, multipart_threshold=5 * MIB)
    assert report.uploaded == 3
    assert sizes == {"a.jpg": (5, 7), "b.txt": None, "long.jpg": (8, 7)}
    assert seen["a.jpg"] == b"small"
    assert seen["long.jpg"] == large[: len(seen["long.jpg"])]
    assert 4096 <= len(seen["long.jpg"]) <= MIB
