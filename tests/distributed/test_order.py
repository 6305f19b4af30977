"""The order in which the coordinator hands shards out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aios3sync.distributed.coordinator import _Coordinator


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
