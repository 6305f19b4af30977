"""One outermost rule: what one file, one object or one callback raises is the outcome of that one alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from aios3sync import BucketNotFoundError
from aios3sync.events import BytesSent, Event, Failed, Finished, ObjectUploaded, Planned, Scanned, Uploaded
from aios3sync.manifest.sqlite import SqliteManifest
from aios3sync.sync import directions
from tests.sync.conftest import MIB, Bench

pytestmark = [pytest.mark.usefixtures("settle"), pytest.mark.timeout(30)]

LARGE: dict[str, Any] = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB}
UNFORESEEN = (RuntimeError("?"), KeyError("x"), MemoryError(), UnicodeError("?"), OverflowError("too large"))


def break_of(
    monkeypatch: pytest.MonkeyPatch, place: str, applies: Callable[..., bool], error: Exception
) -> None:
    """Let a function raise for those arguments that the test means."""
    module, name = place.rsplit(".", 1)
    owner: Any = __import__(module, fromlist=[name])
    real = getattr(owner, name)

    def broken(*args: Any, **kwargs: Any) -> Any:
        if applies(*args):
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, broken)
    if owner is directions:  # a direction holds the function itself
        changed: dict[str, Any] = {name: broken}
        monkeypatch.setattr(directions, "_UP", directions._UP._replace(**changed))


@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
async def test_what_a_request_for_one_file_raises_is_that_files_failure(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "aios3sync")
    bench.tree({f"f{n}": str(n) for n in range(20)})
    bench.faults.on("put", key="p/f7", error=error)
    report = await bench.sync()
    assert (report.uploaded, report.failed, report.exit_code) == (19, 1, 3)
    assert [failure.key for failure in report.errors] == ["f7"]
    assert type(error).__name__ in report.errors[0].error
    assert "Traceback" in caplog.text, "-vv shows where"
    assert (await bench.sync()).checked == "list", "it may have been stored"


@pytest.mark.parametrize("place", ["create_multipart", "put_part", "complete_multipart"])
async def test_what_a_request_for_a_large_file_raises_is_that_files_failure(bench: Bench, place: str) -> None:
    bench.tree({"big": os.urandom(6 * MIB), "small": "1"})
    bench.faults.on(place, error=RuntimeError("?"))
    report = await bench.sync(**LARGE)
    assert (report.uploaded, report.failed, report.exit_code) == (1, 1, 3)
    assert await bench.memory.list_multiparts("") == []


async def test_an_abort_that_raises_does_not_hide_what_failed_first(bench: Bench) -> None:
    bench.tree({"big": os.urandom(6 * MIB)})
    bench.faults.on("put_part", error=RuntimeError("?"))
    bench.faults.on("abort_multipart", error=KeyError("?"))
    report = await bench.sync(**LARGE)
    assert "RuntimeError" in report.errors[0].error
    assert "left over" in report.warnings[0]


@pytest.mark.parametrize(
    ("place", "applies"),
    [
        ("aios3sync.local.read._read_whole", lambda path, room: path.endswith("/b")),
        ("aios3sync.local.tree.small_file", lambda path, key, answer: key == "b"),
        ("aios3sync.sync.transfers.uploads.compress", lambda body: body == b"bad"),
    ],
)
async def test_what_the_reading_of_one_file_raises_is_that_files_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, place: str, applies: Callable[..., bool]
) -> None:
    bench.tree({"a": "1", "b": "bad", "c": "3", "d.txt": "bad"})
    break_of(monkeypatch, place, applies, ValueError("embedded null byte"))
    report = await bench.sync(gzip=("txt",))
    assert (report.uploaded, report.failed, report.exit_code) == (3, 1, 3)


async def test_an_image_that_cannot_be_looked_at_is_sent_all_the_same(bench: Bench) -> None:
    def inspect(key: str, head: bytes) -> tuple[int, int]:
        raise SyntaxError("broken PNG")

    bench.inspect = inspect
    bench.tree({"a.png": "1", "big.png": os.urandom(6 * MIB)})
    assert (await bench.sync(**LARGE)).uploaded == 2


@pytest.mark.parametrize(
    "place",
    [
        "local.tree.digest_file",
        "sync.directions.needs_head",
        "sync.directions.settle",
        "sync.compare._part_sizes",
    ],
)
async def test_what_a_comparison_raises_is_that_files_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    bench.tree({"a": "1", "b": "2", "c": "3"})
    await bench.sync()
    for name in "abc":
        os.utime(bench.root / name)

    def is_b(*args: Any) -> bool:
        return any(arg == "b" or getattr(getattr(arg, "source", None), "key", "") == "b" for arg in args)

    break_of(monkeypatch, f"aios3sync.{place}", is_b, RuntimeError("?"))
    report = await bench.sync()
    assert (report.touched, report.failed, report.exit_code) == (2, 1, 3)


async def test_a_head_that_raises_is_that_files_failure_or_an_upload(bench: Bench, isolated: Any) -> None:
    bench.tree({"a.txt": "1" * 100, "b.txt": "2" * 100})
    await bench.sync(gzip=("txt",))
    for path in isolated.glob("aios3sync/*"):
        path.unlink()
    bench.faults.on("head", key="p/a.txt", error=RuntimeError("?"))
    report = await bench.sync(gzip=("txt",))
    assert (report.adopted, report.failed + report.uploaded) == (1, 1)


async def test_a_key_that_cannot_be_decided_is_a_failure_and_its_object_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"a": "1", "b": "2", "c": "3"})
    await bench.sync()
    (bench.root / "b").unlink()
    break_of(
        monkeypatch,
        "aios3sync.sync.directions.decide",
        lambda s, r, t, p: r is not None and r.key == "b",
        KeyError(),
    )
    report = await bench.sync(delete="mirror")
    assert (report.kept, report.failed, report.deleted, report.exit_code) == (2, 1, 0, 3)
    assert set(bench.objects()) == {"a", "b", "c"}


async def test_what_a_batch_of_deletes_raises_is_the_failure_of_its_keys(bench: Bench) -> None:
    bench.tree({"a": "1", **{f"gone{n}": "x" for n in range(3)}})
    await bench.sync()
    for n in range(3):
        (bench.root / f"gone{n}").unlink()
    bench.faults.on("delete_many", error=TypeError("?"))
    report = await bench.sync(delete="mirror")
    assert (report.kept, report.failed, report.exit_code) == (1, 3, 3)


async def test_a_row_that_cannot_be_recorded_is_that_files_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of others in its batch are recorded, and the next run sends none of them again."""
    bench.tree({f"f{n:03}": str(n) for n in range(100)})
    real = SqliteManifest.record

    async def record(self: SqliteManifest, rows: Sequence[Any], gone: Sequence[str]) -> None:
        if any(row.key == "f042" for row in rows):
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        await real(self, rows, gone)

    monkeypatch.setattr(SqliteManifest, "record", record)
    report = await bench.sync()
    assert (report.uploaded, report.failed, report.exit_code) == (99, 1, 3)
    monkeypatch.setattr(SqliteManifest, "record", real)
    again = await bench.sync()
    assert (again.kept, again.adopted, again.uploaded) == (99, 1, 0)


async def test_what_is_hopeless_for_all_still_ends_the_run(bench: Bench) -> None:
    bench.tree({f"f{n}": str(n) for n in range(20)})
    bench.memory.exists = False
    with pytest.raises(BucketNotFoundError):
        await bench.sync()


# What an application handed in.


class BrokenError(Exception):
    """What a callback of an application raises."""


KINDS = (Scanned, Planned, BytesSent, ObjectUploaded, Failed, Finished)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_what_on_event_raises_comes_out_and_no_stored_file_is_unrecorded(
    bench: Bench, kind: type[Event]
) -> None:
    bench.tree({**{f"f{n:03}": str(n) for n in range(50)}, "big": os.urandom(6 * MIB)})
    bench.faults.on("put", key="p/f007", times=-1, error=ValueError())

    def listen(event: Event) -> None:
        if isinstance(event, kind):
            raise BrokenError(kind.__name__)

    bench.on_event = listen
    with anyio.fail_after(240), pytest.raises(BrokenError, match=kind.__name__):
        await bench.sync(**LARGE)
    bench.on_event = None
    bench.stop.signal = 0
    stored = set(bench.objects())
    bench.faults.keys.clear()
    again = await bench.sync(**LARGE)
    assert (again.adopted, again.kept) == (0, len(stored)), "what was stored was recorded"
    assert await bench.memory.list_multiparts("") == []


async def test_what_an_outcome_sink_raises_comes_out_and_the_others_get_everything(bench: Bench) -> None:
    class Sink:
        def __init__(self, *, broken: bool) -> None:
            self.seen: set[str] = set()
            self.broken, self.calls = broken, 0

        async def outcomes(self, batch: Sequence[Any]) -> None:
            self.calls += 1
            if self.broken:
                raise BrokenError("sink")
            self.seen |= {outcome.row.key for outcome in batch if isinstance(outcome, Uploaded)}

    broken, whole = Sink(broken=True), Sink(broken=False)
    bench.outcome_sinks = (broken, whole)
    bench.tree({f"f{n:03}": str(n) for n in range(600)})
    with pytest.raises(BrokenError, match="sink"):
        await bench.sync()
    assert broken.calls == 1
    assert whole.seen == set(bench.objects())
    bench.outcome_sinks, bench.stop.signal = (), 0
    assert (await bench.sync()).kept == len(whole.seen)


async def test_the_error_of_a_callback_comes_out_before_that_of_the_run(bench: Bench) -> None:
    bench.tree({"a": "1"})
    bench.memory.exists = False

    def listen(event: Event) -> None:
        raise BrokenError("first")

    bench.on_event = listen
    with pytest.raises(BrokenError):
        await bench.sync()


async def test_what_a_preview_raises_is_that_files_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aios3sync.sync.transfers.headers import HeaderPlan

    real = HeaderPlan.for_upload

    def broken(self: HeaderPlan, entry: Any, **more: Any) -> Any:
        if entry.key == "b":
            raise OverflowError("?")
        return real(self, entry, **more)

    monkeypatch.setattr(HeaderPlan, "for_upload", broken)
    bench.tree({"a": "1", "b": "2"})
    report = await bench.sync(dry_run=True)
    assert (report.uploaded, report.failed) == (1, 1)
