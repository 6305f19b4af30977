"""A directory that is watched while it changes, and a bucket on a real server that follows it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, aclosing, asynccontextmanager
from hashlib import md5
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from aios3sync.concurrency import Stop
from aios3sync.errors import UsageError
from aios3sync.events import Event
from aios3sync.report import SyncReport
from tests.integration.conftest import Place

pytestmark = pytest.mark.slow


class Watched:
    """A watch in a task, and what it has reported."""

    def __init__(self) -> None:
        self.reports: list[SyncReport] = []
        self.stop = Stop()
        self._seen = anyio.Event()

    def note(self, _: Event) -> None:
        """Take an event; a watch sends one several times a second."""
        self._seen.set()

    async def until(self, met: Callable[[], Awaitable[bool]]) -> None:
        """Wait until a condition is met, asking after each event; the time-out of the test bounds it."""
        while not await met():
            self._seen = anyio.Event()
            await self._seen.wait()


@asynccontextmanager
async def watched(place: Place, tree: Path, **options: Any) -> AsyncIterator[Watched]:
    """Watch a tree; its first run has ended when the block begins."""
    found, first = Watched(), anyio.Event()

    async def follow() -> None:
        reports = place.session.watch(
            tree, place.url("p"), stop=found.stop, on_event=found.note, stable=0.1, **options
        )
        async with aclosing(reports):
            async for report in reports:
                found.reports.append(report)
                first.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await first.wait()
        yield found
        found.stop.request()


def files(tree: Path) -> dict[str, bytes]:
    return {
        path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()
    }


def in_step(place: Place, tree: Path) -> bool:
    """Whether one listing of the bucket shows the files of the tree, by their MD5."""
    listed = place.client.list_objects_v2(Bucket=place.bucket, Prefix="p/").get("Contents", ())
    there = {item["Key"].removeprefix("p/"): item["ETag"].strip('"') for item in listed}
    return there == {key: md5(body, usedforsecurity=False).hexdigest() for key, body in files(tree).items()}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a").write_text("1")
    return root


async def test_what_is_added_changed_moved_and_removed_follows(place: Place, tree: Path) -> None:
    async with watched(place, tree, delete="mirror") as watch:

        async def same() -> bool:
            return await to_thread.run_sync(in_step, place, tree)

        (tree / "a").write_text("22")
        (tree / "d").mkdir()
        (tree / "d" / "b").write_text("3")
        await watch.until(same)
        (tree / "d").rename(tree / "e")
        await watch.until(same)
        (tree / "a").unlink()
        shutil.rmtree(tree / "e")
        (tree / "c").write_text("4")
        await watch.until(same)
    assert watch.reports[0].uploaded == 1


async def test_random_edits_end_in_the_same(place: Place, tree: Path) -> None:
    """However edits and runs interleave, the bucket is the tree once the edits have ended."""
    rng = random.Random(7)  # noqa: S311 - a seed makes the edits the same every time
    async with watched(place, tree, delete="mirror", every=5.0) as watch:
        for number in range(200):
            await to_thread.run_sync(edit, tree, rng, number)
            await anyio.sleep(rng.choice([0.0, 0.0, 0.02]))

        async def same() -> bool:
            return await to_thread.run_sync(in_step, place, tree)

        await watch.until(same)


def edit(tree: Path, rng: random.Random, number: int) -> None:
    """Make one edit: write, append, remove, rename a file or a directory."""
    places = [tree / f"d{place}" for place in range(4)]
    place = rng.choice(places)
    place.mkdir(exist_ok=True)
    target = place / f"f{rng.randrange(8)}"
    kind = rng.choice(["write", "write", "append", "remove", "rename", "move"])
    if kind == "write":
        target.write_text(str(number) * rng.randrange(1, 50))
    elif kind == "append":
        with target.open("a") as file:
            file.write(str(number))
    elif kind == "remove":
        target.unlink(missing_ok=True)
    elif kind == "rename" and target.exists():
        target.rename(target.with_name("renamed"))
    elif kind == "move":
        away = tree / f"moved{rng.randrange(3)}"
        shutil.rmtree(away, ignore_errors=True)
        place.rename(away)


async def test_a_source_that_cannot_be_watched_is_refused(place: Place, tree: Path) -> None:
    for source, options, text in (
        ({"a": tree / "a"}, {}, "list of files"),
        (tree, {"dry_run": True}, "no dry run"),
        (tree, {"queue": "https://sqs.us-east-1.amazonaws.com/1/q"}, "a queue tells of changes in a bucket"),
    ):
        with pytest.raises(UsageError, match=text):
            async for _ in place.session.watch(source, place.url("p"), **options):  # type: ignore[arg-type]
                pass


async def test_a_bucket_is_compared_regularly(place: Place, tmp_path: Path) -> None:
    place.client.put_object(Bucket=place.bucket, Key="p/a", Body=b"1")
    copy, stop = tmp_path / "copy", Stop()
    reports = place.session.watch(place.url("p"), copy, every=0.2, stop=stop)
    async with aclosing(reports):
        assert (await anext(reports)).downloaded == 1
        place.client.put_object(Bucket=place.bucket, Key="p/b", Body=b"2")
        assert (await anext(reports)).downloaded == 1
    assert files(copy) == {"a": b"1", "b": b"2"}


def test_the_command_says_what_it_did_and_ends_by_a_signal(place: Place, tree: Path) -> None:
    command = [sys.executable, "-m", "aios3sync", "sync", str(tree), place.url("p"), "--watch", "--events"]
    endpoint = place.endpoint
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": endpoint.access_key,
        "AWS_SECRET_ACCESS_KEY": endpoint.secret_key,
        "AWS_REGION": endpoint.region,
        "AWS_ENDPOINT_URL": endpoint.url,
    }
    command += ["--watch-stable", "0.1"]
    seen: list[str] = []
    event: dict[str, Any] = {}
    with ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
        stack.callback(process.kill)  # where an assertion fails too
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            seen.append(event["event"])
            if event["event"] == "run" and seen.count("run") == 2:
                process.send_signal(signal.SIGTERM)
            elif event["event"] == "run":
                (tree / "b").write_text("2")
        assert process.wait() == 128 + signal.SIGTERM
    assert seen.count("uploaded") == 2
    assert (seen[-1], event["report"]["transferred"], event["report"]["interrupted"]) == ("finished", 2, 15)


async def test_what_is_hidden_starts_no_run(place: Place, tree: Path) -> None:
    (tree / "cache").mkdir()
    async with watched(place, tree, delete="mirror", exclude=("cache/*", "*.log")) as watch:
        for number in range(3):
            (tree / "a.log").write_text(str(number))
            (tree / "cache" / "lock").write_text(str(number))
            (tree / "cache" / "lock").unlink()
        (tree / "b").write_text("2")

        async def has_b() -> bool:
            return len(watch.reports) > 1

        await watch.until(has_b)
    assert [report.scanned for report in watch.reports] == [1, 1], "all of it once, then the one file"


async def test_named_files_are_watched_however_they_are_written(place: Place, tree: Path) -> None:
    async with watched(place, tree, files=("./a", str(tree / "b"))) as watch:
        (tree / "a").write_text("22")
        (tree / "b").write_text("3")
        (tree / "c").write_text("4")

        async def both() -> bool:
            return await place.read("p/") == {"a": b"22", "b": b"3"}

        await watch.until(both)


async def test_a_manifest_in_the_bucket_is_taken(place: Place, tree: Path) -> None:
    async with watched(place, tree, manifest=place.url("state/m.sqlite")) as watch:
        (tree / "b").write_text("2")

        async def same() -> bool:
            return await to_thread.run_sync(in_step, place, tree)

        await watch.until(same)
    assert sum(report.uploaded for report in watch.reports) == 2
