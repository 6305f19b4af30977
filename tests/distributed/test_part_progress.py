"""An attempt at a shard that is broken off: what it has done is counted once, as if it had gone on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aios3sync._dataclass import replace
from aios3sync.concurrency import in_thread
from aios3sync.core.key_range import KeyRange
from aios3sync.distributed.messages import NodeSetup, ShardFile, ShardOutcome, ShardTask
from aios3sync.distributed.steps import run_shard_step
from aios3sync.events import Outcome
from aios3sync.manifest.files import storable
from aios3sync.manifest.layers import Layer, LayeredManifest
from aios3sync.manifest.protocol import ManifestState
from aios3sync.manifest.sqlite import SqliteManifest
from aios3sync.options import ConnectOptions
from aios3sync.sync.recorder import Recorder
from aios3sync.testing.memory import MemoryStore
from tests.distributed.sharding import Sharding, counts_of
from tests.distributed.test_shard_run import bodies, bucket, tree
from tests.sync.conftest import Crash

RANGE = KeyRange("b", "x")
INSIDE = {f"{letter}/{number:02}": b"x" * (number + 1) for letter in "dkr" for number in range(20)}
OUTSIDE = {"a": b"1", "z": b"2"}


def made(tmp_path: Path, direction: str) -> Sharding:
    """Return two sides with much to transfer, something to adopt and something that is left alone."""
    root = tmp_path / "tree"
    objects = {"d/same": b"same", "old": b"", **INSIDE, **OUTSIDE}
    if direction == "up":
        tree(root, {"d/same": b"same", **INSIDE, **OUTSIDE})
        objects = {"d/same": b"same", "old": b""}
    elif direction == "down":
        tree(root, {"d/same": b"same"})
    else:
        root.mkdir(parents=True)
    if direction != "copy":
        return Sharding(tmp_path / "many", root, bucket(objects), direction=direction)
    stores: dict[str, MemoryStore] = {}
    source = bucket(objects, name="source", endpoint=stores)
    target = bucket({"d/same": b"same"}, endpoint=stores)
    return Sharding(tmp_path / "many", root, target, source, direction="copy")


def task(side: Sharding, below: ShardOutcome | None = None, **options: Any) -> ShardTask:
    """Return the comparison of a shard as a coordinator asks for it, on top of what one before has left."""
    request = replace(side.request(**options), key_range=RANGE)
    directory = side.place / "m.sqlite.shards"
    directory.mkdir(exist_ok=True)
    run = "first" if below is None else "second"
    file = ShardFile(
        directory=str(directory),
        name=f"{run}-0-compare",
        binding=storable(request.binding),
        state=ManifestState(run=5) if below is None else below.state,
        layers=() if below is None else (Layer(below.path),),
        first=RANGE.first,
        end=RANGE.end,
    )
    setup = NodeSetup(run=run, connect=ConnectOptions(), endpoint="http://memory")
    return ShardTask(setup=setup, step="compare", number=0, request=request, file=file)


async def attempt(side: Sharding, below: ShardOutcome | None = None, **options: Any) -> ShardOutcome:
    return await run_shard_step(task(side, below, **options), lambda *_: side.resources())


async def killed(monkeypatch: pytest.MonkeyPatch, side: Sharding, recorded: int, **options: Any) -> None:
    """Begin an attempt that ends as by SIGKILL, when so many outcomes are recorded: others are lost."""
    real, done, dead = Recorder._record, 0, False

    async def record(self: Recorder, batch: list[Outcome]) -> None:
        nonlocal done, dead
        for outcome in batch:
            if done >= recorded:
                dead = True
                raise Crash
            await real(self, [outcome])
            done += 1

    save = SqliteManifest.save_state_now

    def save_state(self: SqliteManifest, state: ManifestState) -> None:
        if dead:
            raise Crash
        save(self, state)

    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "_record", record)
        patched.setattr(SqliteManifest, "save_state_now", save_state)
        with pytest.raises(Crash):
            await attempt(side, **options)
    assert done == recorded


def runs_in(path: str) -> set[int]:
    """Return the numbers of the runs that have written the rows of a file."""
    manifest = LayeredManifest.open(path, read_only=True)
    try:
        return {row.run for row in manifest.rows_after("", 1000)}
    finally:
        manifest.close_now()


def counts(outcome: ShardOutcome) -> dict[str, int]:
    assert outcome.error is None
    assert outcome.value.report.balanced
    return counts_of(outcome.value.report)


@pytest.mark.parametrize("recorded", [[0], [1], [25], [7, 30], [20, 0, 3]], ids=str)
@pytest.mark.parametrize("direction", ["up", "down", "copy"])
async def test_the_counts_are_those_of_an_attempt_that_was_not_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direction: str, recorded: list[int]
) -> None:
    options: dict[str, Any] = {"delete": "mirror", "max_delete_ratio": 1.0}
    alone = made(tmp_path / "alone", direction)
    expected = counts(await attempt(alone, **options))
    moved = {"up": "uploaded", "down": "downloaded", "copy": "copied"}[direction]
    assert expected[moved] == len(INSIDE) + (direction != "up")  # ``old`` as well
    assert expected[f"{moved}_bytes"] == sum(map(len, INSIDE.values()))
    assert expected["adopted"] == 1
    side = made(tmp_path / "killed", direction)
    for number in recorded:
        await killed(monkeypatch, side, number, **options)
    outcome = await attempt(side, **options)
    assert counts(outcome) == expected
    assert bodies(side.memory) == bodies(alone.memory)
    assert await in_thread(runs_in, outcome.path) == {6}, "all attempts are one run"
    again = await attempt(side, **options)
    assert counts(again) == expected, "also where the report of the whole was lost on its way"


@pytest.mark.parametrize("check", ["auto", "list"])
@pytest.mark.parametrize(
    ("only_touched", "recorded"),
    [(False, [0]), (False, [1]), (False, [3, 4]), (False, [14]), (True, [0]), (True, [3]), (True, [1, 2])],
)
async def test_so_are_those_of_a_later_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: str, only_touched: bool, recorded: list[int]
) -> None:
    """Without a listing where none is needed; with files that are touched, changed, compressed."""
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))
    # With --gzip the stats alone decide nothing.
    options: dict[str, Any] = {"check": check} | ({} if only_touched else {"gzip": ("log",)})
    found = []
    for name in ("alone", "killed"):
        side = made(tmp_path / name, "up")
        first = await attempt(side, **options)
        for number in range(5):
            os.utime(side.root / f"d/{number:02}", ns=(10**18, 10**18))
            if not only_touched:
                (side.root / f"k/{number:02}").write_bytes(b"changed")
                (side.root / f"r/{number:02}.log").write_bytes(b"z" * 5000)
                (side.root / f"r/{number:02}").unlink()
        if name == "killed":
            for number in recorded:
                await killed(monkeypatch, side, number, below=first, **options)
        found.append(await attempt(side, first, **options))
        again = await attempt(side, first, **options)
        assert counts(again) == counts(found[-1]), "also where all stats agree by now"
    alone, taken_up = map(counts, found)
    assert alone == taken_up
    assert (alone["touched"], alone.get("uploaded", 0)) == (5, 0 if only_touched else 10)
    assert alone.get("uploaded_bytes", 0) < 5 * 5000
    if only_touched and check == "auto":
        assert found[1].value.report.checked == "manifest"
