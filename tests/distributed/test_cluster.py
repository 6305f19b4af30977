"""One sync on the workers of a real Dask cluster: the result is that of one process, whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

import aios3sync
from aios3sync import events
from aios3sync.distributed import estimates
from aios3sync.distributed.dask import DaskExecutor
from aios3sync.distributed.exchanges import Exchanges
from aios3sync.errors import ClusterError, UsageError
from aios3sync.report import STATES, SyncReport
from aios3sync.testing.servers import Endpoint
from aios3sync.testing.trees import make_tree
from tests.cli.conftest import Bucket
from tests.distributed.dask_commands import ROOT, Cluster, start_cluster
from tests.inventory.test_files import digest, file_of, manifest_of, row

pytestmark = pytest.mark.slow


@pytest.fixture
async def s3(bucket: Bucket) -> AsyncIterator[aios3sync.Session]:
    async with aios3sync.connect() as session:
        yield session


TREE = {f"d{number % 7}/f{number:03}": b"x" * (number + 1) for number in range(120)} | {
    "a!b": b"1",
    "a/é": b"2",
    "top": b"3",
    "empty": b"",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    root.mkdir()
    make_tree(root, TREE)
    return root


def bodies(bucket: Bucket, prefix: str = "p/") -> dict[str, bytes]:
    return {
        key.removeprefix(prefix): bucket.get(key) for key in sorted(bucket.keys()) if key.startswith(prefix)
    }


def counts(report: SyncReport) -> dict[str, int]:
    names = (*STATES, "planned", "scanned", "uploaded_bytes", "downloaded_bytes", "copied_bytes")
    return {name: value for name in names if (value := getattr(report, name))}


# The same as in one process.


async def test_an_upload_is_that_of_one_process(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path
) -> None:
    target = bucket.url("p")
    alone = await s3.sync(source, bucket.url("alone"))
    first = await s3.sync(source, target, cluster=cluster.address)
    assert counts(first) == counts(alone)
    assert bodies(bucket) == bodies(bucket, "alone/") == TREE
    assert (first.exit_code, first.checked, first.balanced) == (0, "list", True)
    again = await s3.sync(source, target, cluster=cluster.address)
    assert (counts(again), again.requests, again.checked) == (
        {"kept": len(TREE), "planned": len(TREE), "scanned": len(TREE)},
        {},
        "manifest",
    )
    assert counts(await s3.sync(source, target)) == counts(again), "one machine reads all files as one"
    (source / "d1/f001").write_bytes(b"changed")
    (source / "top").unlink()
    changed = await s3.sync(source, target, delete="mirror", cluster=cluster.address)
    assert (changed.uploaded, changed.deleted, changed.withheld) == (1, 1, 0)
    assert bodies(bucket) == {key: body for key, body in TREE.items() if key != "top"} | {
        "d1/f001": b"changed"
    }
    last = await s3.sync(source, target, delete="mirror")
    assert (last.uploaded, last.deleted, last.kept) == (0, 0, len(TREE) - 1)


async def test_a_manifest_of_one_process_is_used(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path
) -> None:
    await s3.sync(source, bucket.url("p"))
    report = await s3.sync(source, bucket.url("p"), cluster=cluster.address)
    assert (report.kept, report.requests) == (len(TREE), {})


async def test_an_inventory_cuts_the_run_and_takes_the_place_of_the_listing(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await s3.sync(source, bucket.url("p"), manifest=False)
    rows = [
        row(f"p/{key}", Bucket=bucket.name, Size=len(body), ETag=digest(body)) for key, body in TREE.items()
    ]
    files = {f"inv/{part}.parquet": file_of("parquet", rows[part::3]) for part in range(3)}
    manifest = manifest_of(files, sourceBucket=bucket.name, creationTimestamp="4000000000000")
    run = "inv/daily/2026-02-06T01-00Z/"
    files |= {f"{run}manifest.json": manifest, f"{run}manifest.checksum": digest(manifest).encode()}
    for key, body in files.items():
        bucket.put(key, body)
    (source / "top").unlink()
    (source / "d1/f001").write_bytes(b"changed")
    monkeypatch.setattr(estimates, "_PLACES_A_SHARD", 1)
    monkeypatch.setattr(estimates, "directory_weights", None)  # it would look at the tree
    report = await s3.sync(
        source,
        bucket.url("p"),
        manifest=False,
        delete="mirror",
        target_listing=f"inventory:{bucket.url('inv/daily')}",
        cluster=cluster.address,
    )
    assert (report.uploaded, report.deleted, report.withheld) == (1, 1, 0)
    assert (report.checked, report.balanced, report.exit_code) == ("inventory", True, 0)
    assert bodies(bucket) == {key: body for key, body in TREE.items() if key != "top"} | {
        "d1/f001": b"changed"
    }


async def test_a_download_and_a_copy_are_those_of_one_process(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path, tmp_path: Path
) -> None:
    await s3.sync(source, bucket.url("p"))
    down = await s3.sync(bucket.url("p"), tmp_path / "down", cluster=cluster.address)
    alone = await s3.sync(bucket.url("p"), tmp_path / "alone")
    assert counts(down) == counts(alone)
    found = {
        path.relative_to(tmp_path / "down").as_posix(): path.read_bytes()
        for path in (tmp_path / "down").rglob("*")
        if path.is_file()
    }
    assert found == TREE
    copy = await s3.sync(bucket.url("p"), bucket.url("q"), cluster=cluster.address)
    assert copy.copied == len(TREE)
    assert bodies(bucket, "q/") == TREE


async def test_a_dry_run_writes_nothing(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path, isolated: Path
) -> None:
    bucket.put("p/old", b"1")
    report = await s3.sync(source, bucket.url("p"), delete="mirror", dry_run=True, cluster=cluster.address)
    assert (report.uploaded, report.deleted, report.dry_run) == (len(TREE), 1, True)
    assert bucket.keys() == {"p/old"}
    assert [*isolated.rglob("*.sqlite*")] == []
    assert sorted(path.name for path in source.iterdir()) == sorted({key.partition("/")[0] for key in TREE})


async def test_no_manifest_is_kept_where_none_is_wanted(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path, isolated: Path
) -> None:
    bucket.put("p/old", b"1")
    report = await s3.sync(source, bucket.url("p"), delete="mirror", manifest=False, cluster=cluster.address)
    assert (report.uploaded, report.deleted) == (len(TREE), 1)
    assert [*isolated.rglob("*.sqlite*")] == []


# One decision for all shards.


async def test_the_guards_look_at_the_sum_of_all_shards(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path
) -> None:
    await s3.sync(source, bucket.url("p"))
    for key in ("d0/f000", "d6/f006"):
        (source / key).unlink()
    refused = await s3.sync(source, bucket.url("p"), delete="mirror", max_delete=1, cluster=cluster.address)
    assert refused.refused is not None
    assert (refused.refused["guard"], refused.refused["count"]) == ("max-delete", 2)
    assert (refused.withheld, refused.deleted, refused.exit_code) == (2, 0, 4)
    assert bodies(bucket) == TREE


async def test_one_failed_upload_withholds_the_deletes_of_all_shards(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path
) -> None:
    await s3.sync(source, bucket.url("p"))
    (source / "d0/f000").unlink()
    (source / "d6").chmod(0)
    try:
        if os.access(
            source / "d6", os.R_OK
        ):  # root reads everything: a link that leads nowhere fails as well
            (source / "d6").chmod(0o755)
            (source / "d6" / "bad").symlink_to("/nonexistent/file")
            (source / "d6" / os.fsdecode(b"\xff")).write_bytes(b"no key")
        report = await s3.sync(source, bucket.url("p"), delete="mirror", cluster=cluster.address)
    finally:
        (source / "d6").chmod(0o755)
    assert (report.deleted, report.withheld) == (0, 1)
    assert "d0/f000" in bodies(bucket)


# Nodes that cannot be used are named.


async def test_a_worker_that_sees_another_tree_is_refused_by_name(
    s3: aios3sync.Session,
    bucket: Bucket,
    seaweedfs: Endpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same path is another directory there, as after a mount that failed."""
    for name in ("here", "there", "dask"):
        (tmp_path / name / "source").mkdir(parents=True)
    make_tree(tmp_path / "here" / "source", TREE)
    make_tree(tmp_path / "there" / "source", TREE)
    monkeypatch.chdir(tmp_path / "here")
    with start_cluster(tmp_path / "dask", seaweedfs.environment(), workers=0) as cluster:
        cluster.add_worker(cwd=tmp_path / "there")
        with pytest.raises(
            ClusterError, match=r"worker tcp://127\.0\.0\.1:\d+ on \S+ sees other files"
        ) as failed:
            await s3.sync("/proc/self/cwd/source", bucket.url("p"), cluster=cluster.address)
    assert "/proc/self/cwd/source" in str(failed.value)
    assert bucket.keys() == set()
    assert [path.name for path in (tmp_path / "here/source").glob(".*")] == []


async def test_a_scheduler_that_is_not_there_is_named(
    s3: aios3sync.Session, bucket: Bucket, source: Path
) -> None:
    with pytest.raises(ClusterError, match=r"scheduler tcp://127\.0\.0\.1:9 cannot be reached"):
        await s3.sync(source, bucket.url("p"), cluster="tcp://127.0.0.1:9")


@pytest.mark.parametrize(
    "cluster_name", ["", "local", "local:0", "local:1000", "host:8786", "tcp://", "tcp://u@h"]
)
async def test_what_is_no_cluster_is_refused(
    s3: aios3sync.Session, bucket: Bucket, source: Path, cluster_name: str
) -> None:
    with pytest.raises(UsageError, match="cluster: "):
        await s3.sync(source, bucket.url("p"), cluster=cluster_name)


@pytest.mark.parametrize(
    "options",
    [{"thumbnails": 100}, {"sse_customer_key": b"k" * 32}, {"outcome_sinks": [object()]}],
    ids=lambda options: next(iter(options)),
)
async def test_what_cannot_travel_is_refused(
    s3: aios3sync.Session, bucket: Bucket, source: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=next(iter(options))) as refused:
        await s3.sync(source, bucket.url("p"), cluster="local:1", **options)
    assert "kkkk" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [{"as_of": 1_700_000_000.0}, {"source_sse_customer_key": b"k" * 32}],
    ids=lambda options: next(iter(options)),
)
async def test_what_only_one_machine_can_read_is_refused(
    s3: aios3sync.Session, bucket: Bucket, options: dict[str, Any]
) -> None:
    """Versions are listed by one machine, and a key of the source is sent to no other one."""
    with pytest.raises(UsageError, match=f"cluster: {next(iter(options))} cannot be used") as refused:
        await s3.sync(bucket.url("p"), bucket.url("q"), cluster="local:1", **options)
    assert "kkkk" not in str(refused.value)


# Workers that die, runs that are stopped.


def recorded(state: Path) -> set[str]:
    """The keys in all files of the manifest as of now, also of a process that was just killed."""
    keys: set[str] = set()
    for path in state.rglob("*-compare.*.sqlite"):
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(":memory:")) as copy:
            source.backup(copy)
            if copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone():
                keys |= {key for (key,) in copy.execute("SELECT key FROM entries")}
    return keys


async def test_a_worker_is_killed_in_the_middle(
    bucket: Bucket,
    seaweedfs: Endpoint,
    source: Path,
    tmp_path: Path,
    isolated: Path,
    no_blocking: BlockBuster,
) -> None:
    """Its shards are done again elsewhere; what it had recorded is not sent again, and deletes come last."""
    no_blocking.deactivate()  # this listener looks at files and at the bucket
    tree = {f"e{number % 9}/f{number:03}": b"y" * 2000 for number in range(270)}
    make_tree(source, tree)
    bucket.put("p/old", b"1")
    (tmp_path / "dask").mkdir()
    seen: list[events.Event] = []
    before: set[str] = set()
    with start_cluster(tmp_path / "dask", seaweedfs.environment()) as cluster:

        def on_event(event: events.Event) -> None:
            seen.append(event)
            uploaded = sum(isinstance(event, events.ObjectUploaded) for event in seen)
            if uploaded >= 60 and cluster.workers[0].poll() is None and not before:
                cluster.workers[0].kill()
                cluster.workers[0].wait()
                before.update(recorded(isolated))
            if isinstance(event, events.PhaseBegan) and event.phase == "delete":
                assert bucket.keys() >= {f"p/{key}" for key in TREE | tree} | {"p/old"}

        async with aios3sync.connect(bandwidth=200_000) as s3:
            report = await s3.sync(
                source, bucket.url("p"), delete="mirror", cluster=cluster.address, on_event=on_event
            )
    assert before, "it was killed in the middle"
    assert report.exit_code == 0
    content = TREE | tree
    assert counts(report) == {
        "uploaded": len(content),
        "deleted": 1,
        "planned": len(content) + 1,
        "scanned": len(content),
        "uploaded_bytes": sum(map(len, content.values())),
    }, "as if no worker had been killed"
    assert bodies(bucket) == TREE | tree
    sent = Counter(event.key for event in seen if isinstance(event, events.ObjectUploaded))
    assert [key for key in before if sent[key] > 1] == []
    kinds = [type(event) for event in seen]
    assert events.ObjectDeleted not in kinds[: seen.index(events.PhaseBegan("delete"))]
    async with aios3sync.connect() as s3:
        again = await s3.sync(source, bucket.url("p"), delete="mirror")
    assert (again.kept, again.planned) == (len(TREE | tree), len(TREE | tree))


HALTING = """
import os
import anyio
from aios3sync.sync.deletes import DeleteSender

# Dask may run this file twice.
whole = DeleteSender.whole = getattr(DeleteSender, "whole", DeleteSender._delete_batch)

async def half(self, batch):
    place = os.environ["HALT"]
    await whole(self, batch[: len(batch) // 2])
    if batch and batch[0].key.startswith("x"):  # in the middle of its shard
        await self._run.recorder.flush()
    try:
        os.rename(place, f"{place}-{os.getpid()}")  # one worker halts, and no other
    except FileNotFoundError:
        await whole(self, batch[len(batch) // 2 :])
    else:
        await anyio.sleep_forever()

DeleteSender._delete_batch = half
"""


async def test_a_worker_is_killed_in_the_middle_of_its_deletes(
    bucket: Bucket, seaweedfs: Endpoint, source: Path, tmp_path: Path, no_blocking: BlockBuster
) -> None:
    """Its deletes are taken up again, each is counted once, and nothing else is deleted."""
    no_blocking.deactivate()  # this test looks at files and at the bucket
    extra = {f"{letter}/{number:02}" for letter in "bdhlx" for number in range(12)}
    for key in extra:
        bucket.put(f"p/{key}", b"1")
    halt = tmp_path / "halt"
    halt.touch()
    (tmp_path / "halting.py").write_text(HALTING)
    (tmp_path / "dask").mkdir()
    environment = {**seaweedfs.environment(), "HALT": str(halt)}
    options: dict[str, Any] = {"delete": "mirror", "max_delete_ratio": 1.0}
    with start_cluster(tmp_path / "dask", environment, preload=str(tmp_path / "halting.py")) as cluster:
        async with aios3sync.connect() as s3, asyncio.TaskGroup() as tasks:
            run = tasks.create_task(s3.sync(source, bucket.url("p"), cluster=cluster.address, **options))
            while not (found := list(tmp_path.glob("halt-*"))) and not run.done():  # noqa: ASYNC110 - in a process
                await asyncio.sleep(0.05)
            assert found, "a worker halted in the middle of its deletes"
            left = bucket.keys()
            assert {f"p/{key}" for key in TREE} < left
            assert 0 < len([key for key in extra if f"p/{key}" in left]) < len(extra)
            (worker,) = (one for one in cluster.workers if f"halt-{one.pid}" == found[0].name)
            worker.kill()
            report = await run
    assert (report.exit_code, report.warnings) == (0, ())
    content = {"uploaded": len(TREE), "uploaded_bytes": sum(map(len, TREE.values())), "scanned": len(TREE)}
    assert counts(report) == content | {"deleted": len(extra), "planned": len(TREE) + len(extra)}
    assert bodies(bucket) == TREE
    async with aios3sync.connect() as s3:
        again = await s3.sync(source, bucket.url("p"), **options)
    assert counts(again) == {"kept": len(TREE), "planned": len(TREE), "scanned": len(TREE)}


async def test_a_stopped_run_ends_orderly_and_the_next_goes_on(
    bucket: Bucket, source: Path, cluster: Cluster, isolated: Path
) -> None:
    tree = {f"e{number % 9}/f{number:03}": b"y" * 2000 for number in range(270)}
    make_tree(source, tree)
    stop = aios3sync.Stop()
    uploaded: Counter[str] = Counter()

    def on_event(event: events.Event) -> None:
        if isinstance(event, events.ObjectUploaded):
            uploaded[event.key] += 1
            if uploaded.total() >= 60:
                stop.request()

    async with aios3sync.connect(bandwidth=200_000) as s3:
        stopped = await s3.sync(
            source, bucket.url("p"), delete="mirror", cluster=cluster.address, on_event=on_event, stop=stop
        )
    assert (stopped.interrupted, stopped.exit_code, stopped.deleted) == (2, 130, 0)
    assert 0 < stopped.uploaded < len(TREE | tree)
    async with aios3sync.connect() as s3:
        report = await s3.sync(source, bucket.url("p"), cluster=cluster.address, on_event=on_event)
    assert report.exit_code == 0
    assert max(uploaded.values()) == 1, "what was recorded is not sent again"
    assert bodies(bucket) == TREE | tree


def test_ctrl_c_reaches_the_processes_of_a_local_cluster_orderly(
    bucket: Bucket, source: Path, isolated: Path
) -> None:
    """A terminal sends it to the whole group: the workers leave it to the coordinator."""
    tree = {f"e{number % 9}/f{number:03}": b"y" * 2000 for number in range(270)}
    make_tree(source, tree)
    command = [
        sys.executable,
        "-m",
        "aios3sync",
        "sync",
        str(source),
        bucket.url("p"),
        "--cluster",
        "local:2",
    ]
    run = subprocess.Popen(
        [*command, "--bwlimit", "200k", "--no-progress"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert run.stdout is not None
    lines = [run.stdout.readline() for _ in range(60)]
    os.killpg(run.pid, signal.SIGINT)
    rest, _ = run.communicate(timeout=120)
    text = b"".join([*lines, rest]).decode()
    assert run.returncode == 130, text
    assert "Traceback" not in text
    done = len(bucket.keys())
    assert 0 < done < len(TREE | tree)
    ended = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert f'"uploaded":{len(TREE | tree) - done}' in ended.stdout.replace(" ", "")
    assert bodies(bucket) == TREE | tree


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="the processes are looked up in /proc")
def test_a_worker_of_a_local_cluster_that_is_killed_is_replaced(
    bucket: Bucket, source: Path, isolated: Path
) -> None:
    """The run has no other worker, and ends well."""
    tree = {f"e{number % 9}/f{number:03}": b"y" * 2000 for number in range(270)}
    make_tree(source, tree)
    command = [sys.executable, "-m", "aios3sync", "sync", str(source), bucket.url("p")]
    run = subprocess.Popen(
        [*command, "--cluster", "local:1", "--bwlimit", "200k", "--no-progress"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.stdout is not None
    lines = [run.stdout.readline() for _ in range(60)]
    (starter,) = children(run.pid)
    (worker,) = children(starter)
    os.kill(worker, signal.SIGKILL)
    rest, _ = run.communicate(timeout=240)
    text = b"".join([*lines, rest]).decode()
    assert run.returncode == 0, text
    assert "Traceback" not in text
    assert bodies(bucket) == TREE | tree
    assert not Path(f"/proc/{starter}").exists()


# What travels, and what is used.


async def test_no_credential_is_in_any_message(
    s3: aios3sync.Session,
    bucket: Bucket,
    cluster: Cluster,
    source: Path,
    messages: list[bytes],
) -> None:
    report = await s3.sync(source, bucket.url("p"), cluster=cluster.address)
    assert report.uploaded == len(TREE)
    assert len(messages) > 3
    assert bucket.endpoint.secret_key
    assert [message for message in messages if bucket.endpoint.secret_key.encode() in message] == []


async def test_all_nodes_together_keep_to_the_limits(
    bucket: Bucket, cluster: Cluster, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Any]] = []
    ask = DaskExecutor.ask

    async def watched(self: DaskExecutor, function: Callable[..., Any], messages: Any) -> Any:
        answers = await ask(self, function, messages)
        if function.__name__ == "exchange":
            seen.append([(messages[name].lease, answer.use) for name, answer in answers.items()])
        return answers

    monkeypatch.setattr(DaskExecutor, "ask", watched)
    async with aios3sync.connect(workers=6, bandwidth=1_000_000) as s3:
        await s3.sync(source, bucket.url("p"), cluster=cluster.address)
    assert max(len(answers) for answers in seen) == 2
    for answers in seen:
        assert sum(lease.workers for lease, _ in answers) <= 6
        assert sum(use.in_flight for _, use in answers) <= 6
        assert sum(lease.bandwidth for lease, _ in answers) <= 1_000_000 * 1.001


async def test_more_nodes_than_requests_is_an_error(bucket: Bucket, cluster: Cluster, source: Path) -> None:
    async with aios3sync.connect(workers=1) as s3:
        with pytest.raises(ClusterError, match="there are 2 nodes; say --workers 2 or more"):
            await s3.sync(source, bucket.url("p"), cluster=cluster.address)


async def test_progress_is_that_of_all_nodes(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where most events come as numbers."""
    monkeypatch.setattr("aios3sync.distributed.exchanges._EVENTS", 1)
    monkeypatch.setattr("aios3sync.distributed.exchanges._LEAST_EVENTS", 1)
    progress = aios3sync.Progress()
    single: list[events.Event] = []

    def on_event(event: events.Event) -> None:
        progress(event)
        if isinstance(event, events.ObjectUploaded):
            single.append(event)

    report = await s3.sync(source, bucket.url("p"), cluster=cluster.address, on_event=on_event)
    assert progress.nodes == 2
    assert progress.report == report
    assert (progress.scanned, progress.uploads, progress.uploaded) == (len(TREE), len(TREE), len(TREE))
    assert progress.sent == progress.upload_size == sum(map(len, TREE.values()))


async def test_a_client_of_dask_names_its_cluster(
    s3: aios3sync.Session, bucket: Bucket, cluster: Cluster, source: Path
) -> None:
    from distributed import Client

    async with Client(cluster.address, asynchronous=True, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        report = await s3.sync(source, bucket.url("p"), cluster=client)
        assert await client.submit(len, "abc") == 3, "it is left open"
    assert report.uploaded == len(TREE)


async def test_a_cancelled_run_leaves_no_shard_running(
    bucket: Bucket, cluster: Cluster, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = asyncio.Event()
    ends: list[int] = []
    end = Exchanges.end

    async def watched(self: Exchanges) -> None:
        await end(self)
        ends.append(await self.once())

    monkeypatch.setattr(Exchanges, "end", watched)

    def on_event(event: events.Event) -> None:
        if isinstance(event, events.ObjectUploaded):
            began.set()

    async with aios3sync.connect(bandwidth=20_000) as s3:
        run = asyncio.create_task(
            s3.sync(source, bucket.url("p"), cluster=cluster.address, on_event=on_event)
        )
        await began.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert ends == [0]
    async with aios3sync.connect() as s3:
        assert (await s3.sync(source, bucket.url("p"), cluster=cluster.address)).exit_code == 0
    assert bodies(bucket) == TREE


def test_a_run_without_a_cluster_loads_nothing_of_dask(bucket: Bucket, source: Path) -> None:
    program = (
        "import sys; sys.argv = ['aios3sync', 'sync', *sys.argv[1:], '--quiet']\n"
        "from aios3sync.__main__ import main\n"
        "code = main()\n"
        "found = {name.partition('.')[0] for name in sys.modules} & {'dask', 'distributed', 'tornado'}\n"
        "found |= {name for name in sys.modules if name.startswith('aios3sync.distributed')}\n"
        "sys.exit(code or (', '.join(sorted(found)) if found else 0))\n"
    )
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", program, str(source), bucket.url("p")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
