"""What the coordinator does by itself: the order in which it hands shards out, and its signs of life."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from aios3sync.distributed.coordinator import _Coordinator
from aios3sync.errors import ManifestError


class Steps:
    """Takes the numbers of the shards, and does nothing with them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[int]]] = []

    async def run(self, step: str, numbers: Any) -> list[Any]:
        self.asked.append((step, list(numbers)))
        return []


async def test_the_first_shards_of_all_nodes_lie_far_apart() -> None:
    nothing: Any = None
    coordinator = _Coordinator(nothing, nothing, nothing, nothing)
    steps: Any = Steps()
    manifest: Any = SimpleNamespace(may_be_swapped=False)
    coordinator._steps, coordinator._manifest = steps, manifest
    await coordinator._phases(12, 3)
    assert steps.asked == [("compare", [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])]


async def test_the_coordinator_gives_signs_of_life_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.distributed.coordinator.RENEWED_S", 0)
    signs: list[str] = []
    enough = anyio.Event()

    def renew() -> None:
        signs.append("written")
        if len(signs) == 1:
            raise ManifestError("the filesystem is busy")

    async def publish() -> None:
        signs.append("stored")
        if len(signs) > 4:
            enough.set()

    request: Any = SimpleNamespace(options=SimpleNamespace(dry_run=False))
    shards: Any = SimpleNamespace(publish=publish)
    nothing: Any = None
    coordinator = _Coordinator(request, nothing, nothing, nothing, shards=shards)
    manifest: Any = SimpleNamespace(renew=renew)
    coordinator._manifest = manifest
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(coordinator._stay_open)
            await enough.wait()
            tasks.cancel_scope.cancel()
    assert signs[:5] == ["written", "written", "stored", "written", "stored"]
