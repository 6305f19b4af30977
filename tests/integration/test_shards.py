"""A sync in shards on a real server, one that lists by directories."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import to_thread

import aios3sync
from aios3sync import ConnectOptions, SyncOptions
from aios3sync._dataclass import replace
from aios3sync.distributed.guards import lookalikes_of, refusal, waits
from aios3sync.distributed.results import ShardResult
from aios3sync.distributed.shard_run import compare_shard, delete_shard
from aios3sync.distributed.shards import cut
from aios3sync.events import discard
from aios3sync.runs import Runs
from aios3sync.stores import Stores
from aios3sync.testing.trees import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from aios3sync.report import SyncReport
    from aios3sync.sync.request import SyncRequest
    from aios3sync.testing.servers import Endpoint
    from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]

ODD = ["a!b", "a-b", "a/x", "a/y/z", "a0", "ab/c", "é/1", "é!", "日本/1", "z z/+%"]


@pytest.fixture
def endpoint(seaweedfs: Endpoint) -> Endpoint:
    """The server that sorts by directories, so that StartAfter loses keys."""
    return seaweedfs


class Machine:
    """What one process of a cluster has of its own: its connections, its manifests, its held deletes."""

    def __init__(self, place: Path, closing: AsyncExitStack) -> None:
        options = ConnectOptions(processes=0)
        stores = Stores(options, closing)
        closing.callback(stores.access.close)
        self.runs = Runs(options, stores, closing, lambda *_, **__: pytest.fail("no catalog is asked for"))
        self.place = place

    async def sync(self, source: Any, target: Any, weights: Any, **options: Any) -> Counter[str]:
        """Sync in six shards at once, and return the sum of their counts."""
        request = await self.runs.request(source, target, SyncOptions(**options))
        ranges = cut(weights, 6, whole_prefixes=True)
        assert len(ranges) > 3
        shards = [
            replace(
                request,
                key_range=one,
                options=replace(request.options, manifest=str(self.place / f"{number}.sqlite")),
            )
            for number, one in enumerate(ranges)
        ]
        results: dict[int, ShardResult] = {}

        async def compare(number: int, shard: SyncRequest) -> None:
            results[number] = await compare_shard(
                shard, self.runs.resources(shard, discard), self.held(number)
            )

        async with anyio.create_task_group() as tasks:
            for number, shard in enumerate(shards):
                tasks.start_soon(compare, number, shard)
        facts = [result.facts for result in results.values()]
        assert refusal(facts, request.options) is None
        assert not waits(facts, request.options)
        reports = [result.report for result in results.values()]
        for number, shard in enumerate(shards):
            resources = self.runs.resources(shard, discard)
            reports.append(await delete_shard(shard, resources, self.held(number), lookalikes_of(facts)))
        return counted(*reports)

    def held(self, number: int) -> str:
        return str(self.place / f"{number}.held")


def counted(*reports: SyncReport) -> Counter[str]:
    total: Counter[str] = Counter()
    for report in reports:
        assert report.balanced, report
        names = ("uploaded", "downloaded", "copied", "kept", "adopted", "deleted", "failed", "conflicts")
        total.update({name: getattr(report, name) for name in names})
    return +total


async def keys_of(place: Place, prefix: str) -> list[str]:
    """The keys below a prefix, as boto3 sees them."""

    def listed() -> list[str]:
        pages = place.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=prefix)
        return sorted(item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", ()))

    return await to_thread.run_sync(listed)


def remove(root: Path, keys: list[str]) -> None:
    for key in keys:
        (root / key).unlink()


async def test_shards_of_a_sync_on_a_real_server(place: Place, tmp_path: Path) -> None:
    """Up, down and to another prefix, with deletes; then a run of one machine finds nothing to do."""
    tops = ("b", "c", "d-", "d", "q!")
    content = {f"{top}/{name:03}": b"x" * (name % 7) for top in tops for name in range(220)}
    content |= dict.fromkeys(ODD, b"odd")
    root = await to_thread.run_sync(lambda: make_tree(tmp_path / "tree", dict(content)))
    weights = sorted((key, 1) for key in content)
    places = [tmp_path / name for name in ("up", "down", "copy", "fetched")]
    for each in places:
        await to_thread.run_sync(each.mkdir)
    async with AsyncExitStack() as closing:
        machines = [Machine(each, closing) for each in places]
        up = await machines[0].sync(root, place.url("p"), weights)
        assert up == {"uploaded": len(content)}
        assert await keys_of(place, "p/") == sorted(content)
        assert await machines[0].sync(root, place.url("p"), weights, check="list") == {"kept": len(content)}

        down = await machines[1].sync(place.url("p"), places[3], weights)
        assert down == {"downloaded": len(content)}
        copied = await machines[2].sync(place.url("p"), place.url("q"), weights)
        assert copied == {"copied": len(content)}

        gone = [key for key in content if key.startswith("c/") or key in ("a!b", "é/1")]
        await to_thread.run_sync(remove, root, gone)
        left = {key: body for key, body in content.items() if key not in gone}
        for machine, source, target in (
            (machines[0], root, place.url("p")),
            (machines[1], place.url("p"), places[3]),
            (machines[2], place.url("p"), place.url("q")),
        ):
            counts = await machine.sync(source, target, weights, delete="mirror")
            assert counts == {"kept": len(left), "deleted": len(gone)}
        assert await keys_of(place, "p/") == await keys_of(place, "q/") == sorted(left)
    report = await place.session.sync(root, place.url("p"), delete="mirror", manifest=False)
    assert (report.uploaded, report.deleted) == (0, 0)
    verified = await place.session.verify(places[3], place.url("p"))
    assert isinstance(verified, aios3sync.VerifyReport)
    assert verified.exit_code == 0
